"""perennial.registry.v1.RegistryService. Thin: translate, ask a handler on a thread, answer."""

# ruff: noqa: N802  (gRPC names its methods so)

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import grpc

from libs.faults import NOT_FOUND, Poison
from protos.common.v1.common_pb2 import ModelVersion
from protos.registry.v1 import registry_service_pb2 as pb
from protos.registry.v1 import registry_service_pb2_grpc as pb_grpc
from protos.registry.v1.registry_events_pb2 import (
    CampaignRequested,
    OperatorActed,
    RoutingTable,
)
from services.registry.domain.values import Application, Prompt
from services.registry.handlers.audit import ReplayCampaign
from services.registry.handlers.desk import Desk
from services.registry.handlers.library import Library
from services.registry.handlers.lineage import trace
from services.registry.ports import Catalogue, Cut
from services.registry.wire import messages
from services.registry.wire.values import messages as many
from services.registry.wire.values import value

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]

SERVICE: Final = pb.DESCRIPTOR.services_by_name["RegistryService"].full_name
PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 500


class RegistryServicer(pb_grpc.RegistryServiceServicer):
    def __init__(
        self, desk: Desk, library: Library, catalogue: Catalogue, replay: ReplayCampaign
    ) -> None:
        self._desk = desk
        self._library = library
        self._catalogue = catalogue
        self._replay = replay

    def register(self, server: grpc.aio.Server) -> None:
        pb_grpc.add_RegistryServiceServicer_to_server(self, server)

    async def ApplyApplication(
        self, request: pb.ApplyApplicationRequest, context: Context
    ) -> pb.ApplyApplicationResponse:
        declared = value(Application, request.application)
        revision, changed = await asyncio.to_thread(self._desk.apply, declared)
        return pb.ApplyApplicationResponse(revision=revision, changed=changed)

    async def ListApplications(
        self, request: pb.ListApplicationsRequest, context: Context
    ) -> pb.ListApplicationsResponse:
        page = await asyncio.to_thread(self._catalogue.applications, cut(request))
        return pb.ListApplicationsResponse(
            applications=map(messages.application_applied, page.items),
            next_page_token=page.next_token,
        )

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: Context
    ) -> pb.CreateApiKeyResponse:
        key, sha256 = await asyncio.to_thread(self._desk.create_key, request.application)
        return pb.CreateApiKeyResponse(api_key=key, key_sha256=sha256)

    async def RevokeApiKey(
        self, request: pb.RevokeApiKeyRequest, context: Context
    ) -> pb.RevokeApiKeyResponse:
        await asyncio.to_thread(self._desk.revoke_key, request.application, request.key_sha256)
        return pb.RevokeApiKeyResponse()

    async def ListReleases(
        self, request: pb.ListReleasesRequest, context: Context
    ) -> pb.ListReleasesResponse:
        def read() -> pb.ListReleasesResponse:
            page = self._catalogue.releases(request.application, cut(request))
            names = {kept.release.application for kept in page.items}
            tables = {name: self._catalogue.table(name) for name in names}
            return pb.ListReleasesResponse(
                releases=[
                    messages.release_entry(kept, tables[kept.release.application])
                    for kept in page.items
                ],
                next_page_token=page.next_token,
            )

        return await asyncio.to_thread(read)

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        page = await asyncio.to_thread(self._catalogue.models, request.application, cut(request))
        return pb.ListModelsResponse(
            models=many(ModelVersion, page.items), next_page_token=page.next_token
        )

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, context: Context
    ) -> pb.ListDatasetsResponse:
        page = await asyncio.to_thread(self._catalogue.datasets, request.application, cut(request))
        return pb.ListDatasetsResponse(
            datasets=map(messages.dataset_entry, page.items), next_page_token=page.next_token
        )

    async def GetRouting(self, request: pb.GetRoutingRequest, context: Context) -> RoutingTable:
        table = await _found(lambda: self._catalogue.table(request.application), "application")
        return messages.routing_table(table)

    async def StartCampaign(
        self, request: pb.StartCampaignRequest, context: Context
    ) -> pb.StartCampaignResponse:
        asked = CampaignRequested(
            application=request.application,
            collection=request.collection,
            requested_by=request.operator,
            reason=request.reason,
            override_reason=request.override_reason,
            proposal=request.proposal if request.HasField("proposal") else None,
            only=request.only if request.HasField("only") else None,
        )
        campaign_id = await asyncio.to_thread(self._desk.start_campaign, asked)
        return pb.StartCampaignResponse(campaign_id=campaign_id)

    async def ActOnCampaign(
        self, request: pb.ActOnCampaignRequest, context: Context
    ) -> pb.ActOnCampaignResponse:
        campaign_id = request.campaign_id
        kept = await _found(lambda: self._catalogue.campaign(campaign_id), "campaign")
        acted = OperatorActed(
            campaign_id=campaign_id,
            action=request.action,
            operator=request.operator,
            reason=request.reason,
        )
        await asyncio.to_thread(self._desk.act, kept.application, acted)
        return pb.ActOnCampaignResponse()

    async def GetCampaign(self, request: pb.GetCampaignRequest, context: Context) -> pb.Campaign:
        campaign_id = request.campaign_id
        kept = await _found(lambda: self._catalogue.campaign(campaign_id), "campaign")
        transitions = await asyncio.to_thread(self._catalogue.transitions, [campaign_id])
        return messages.campaign(kept, transitions[campaign_id])

    async def ListCampaigns(
        self, request: pb.ListCampaignsRequest, context: Context
    ) -> pb.ListCampaignsResponse:
        def read() -> pb.ListCampaignsResponse:
            page = self._catalogue.campaigns(request.application, cut(request))
            ids = [kept.state.campaign_id for kept in page.items]
            transitions = self._catalogue.transitions(ids)
            return pb.ListCampaignsResponse(
                campaigns=[
                    messages.campaign(kept, transitions[kept.state.campaign_id])
                    for kept in page.items
                ],
                next_page_token=page.next_token,
            )

        return await asyncio.to_thread(read)

    async def ReplayCampaign(
        self, request: pb.ReplayCampaignRequest, context: Context
    ) -> pb.ReplayCampaignResponse:
        return await asyncio.to_thread(self._replay, request.campaign_id)

    async def TraceRelease(self, request: pb.TraceReleaseRequest, context: Context) -> pb.Lineage:
        return await asyncio.to_thread(trace, self._catalogue, request.release_digest)

    async def CreatePrompt(
        self, request: pb.CreatePromptRequest, context: Context
    ) -> pb.PromptEntry:
        def create() -> pb.PromptEntry:
            given = value(Prompt, request.prompt)
            kept = self._library.create_prompt(request.application, given, request.operator)
            return messages.prompt_entry(kept, self._library.is_declared(kept))

        return await asyncio.to_thread(create)

    async def ListPrompts(
        self, request: pb.ListPromptsRequest, context: Context
    ) -> pb.ListPromptsResponse:
        def read() -> pb.ListPromptsResponse:
            page = self._catalogue.prompts(request.application, cut(request))
            return pb.ListPromptsResponse(
                prompts=[
                    messages.prompt_entry(kept, self._library.is_declared(kept))
                    for kept in page.items
                ],
                next_page_token=page.next_token,
            )

        return await asyncio.to_thread(read)

    async def ListEngines(
        self, request: pb.ListEnginesRequest, context: Context
    ) -> pb.ListEnginesResponse:
        page = await asyncio.to_thread(self._catalogue.engines, request.application, cut(request))
        return pb.ListEnginesResponse(
            engines=map(messages.engine_entry, page.items), next_page_token=page.next_token
        )

    async def ListProviders(
        self, request: pb.ListProvidersRequest, context: Context
    ) -> pb.ListProvidersResponse:
        found = await asyncio.to_thread(self._library.providers, request.application)
        return pb.ListProvidersResponse(
            providers=[messages.provider_entry(*answerer) for answerer in found]
        )

    async def ApproveProvider(
        self, request: pb.ApproveProviderRequest, context: Context
    ) -> pb.ProviderEntry:
        answerer = await asyncio.to_thread(
            self._library.approve,
            request.application,
            request.name,
            request.operator,
            request.reason,
        )
        return messages.provider_entry(*answerer)


def cut(request: Any) -> Cut:
    """Which page a List request asks for."""
    if request.page_size > MAX_PAGE_SIZE:
        raise Poison(f"page_size is at most {MAX_PAGE_SIZE}", code="bad_page_size")
    return Cut(request.page_size or PAGE_SIZE, request.page_token)


async def _found(read: Callable[[], T | None], what: str) -> T:
    found = await asyncio.to_thread(read)
    if found is None:
        raise Poison(f"no such {what}", code=NOT_FOUND)
    return found
