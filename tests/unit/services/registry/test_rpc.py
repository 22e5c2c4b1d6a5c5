"""The gRPC door, called in process; the server around it is `libs.rpc`'s own."""

from typing import Any

import pytest

from libs.events.topics import APPLICATION_APPLIED, CAMPAIGN_REQUESTED, OPERATOR_ACTED, ROUTING
from libs.faults import FAILED_PRECONDITION, NOT_FOUND, Poison
from libs.rpc.auth import digest
from protos.common.v1.common_pb2 import Decoding, Prompt, Provider
from protos.registry.v1 import registry_service_pb2 as pb
from protos.registry.v1.application_pb2 import (
    Admission,
    Application,
    Cache,
    DriftPolicy,
    Objective,
    RolloutPolicy,
    Serving,
)
from protos.registry.v1.registry_events_pb2 import (
    OPERATOR_ACTION_ABORT,
    ROLE_CANARY,
    ROLE_CHAMPION,
    Proposal,
)
from services.registry.rpc import RegistryServicer
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import Registry

NO_CONTEXT: Any = None


@pytest.fixture
def door(registry: Registry) -> RegistryServicer:
    return RegistryServicer(registry.desk, registry.library, registry.catalogue, registry.replay)


async def test_a_changed_application_is_the_next_revision(door: RegistryServicer) -> None:
    changed = Application(name="bank", rollout=RolloutPolicy(review=True))

    answer = await door.ApplyApplication(
        pb.ApplyApplicationRequest(application=changed), NO_CONTEXT
    )

    assert (answer.revision, answer.changed) == (2, True)


async def test_a_bad_application_is_refused_with_its_reason(door: RegistryServicer) -> None:
    bad = Application(name="bank", prompt_template="{{ question.__class__ }}{{ other }}")

    with pytest.raises(Poison, match=r"prompt_template uses \['other'\]") as refused:
        await door.ApplyApplication(pb.ApplyApplicationRequest(application=bad), NO_CONTEXT)

    assert refused.value.code == "bad_application"


async def test_a_key_is_shown_once_and_its_digest_routed(
    registry: Registry, door: RegistryServicer
) -> None:
    key = await door.CreateApiKey(pb.CreateApiKeyRequest(application="bank"), NO_CONTEXT)
    registry.settle()

    assert key.api_key.startswith("pk-")
    assert list(registry.last(ROUTING).key_sha256) == [digest(key.api_key)]


async def test_a_revoked_key_leaves_the_table(registry: Registry, door: RegistryServicer) -> None:
    key = await door.CreateApiKey(pb.CreateApiKeyRequest(application="bank"), NO_CONTEXT)
    revocation = pb.RevokeApiKeyRequest(application="bank", key_sha256=key.key_sha256)

    await door.RevokeApiKey(revocation, NO_CONTEXT)
    registry.settle()

    assert list(registry.last(ROUTING).key_sha256) == []
    with pytest.raises(Poison) as refused:
        await door.RevokeApiKey(revocation, NO_CONTEXT)
    assert refused.value.code == NOT_FOUND


async def test_a_key_for_nobody_is_refused(door: RegistryServicer) -> None:
    with pytest.raises(Poison) as refused:
        await door.CreateApiKey(pb.CreateApiKeyRequest(application="nobody"), NO_CONTEXT)

    assert refused.value.code == NOT_FOUND


async def test_a_started_campaign_can_be_seen_at_once(door: RegistryServicer) -> None:
    started = await door.StartCampaign(pb.StartCampaignRequest(application="bank"), NO_CONTEXT)

    seen = await door.GetCampaign(
        pb.GetCampaignRequest(campaign_id=started.campaign_id), NO_CONTEXT
    )

    assert (seen.state, seen.kind, seen.application) == ("requested", "operator", "bank")


async def test_an_abort_travels_over_its_topic(registry: Registry, door: RegistryServicer) -> None:
    campaign_id = registry.start()
    abort = pb.ActOnCampaignRequest(
        campaign_id=campaign_id, action=OPERATOR_ACTION_ABORT, operator="Ada", reason="drill"
    )

    await door.ActOnCampaign(abort, NO_CONTEXT)
    registry.settle()
    seen = await door.GetCampaign(pb.GetCampaignRequest(campaign_id=campaign_id), NO_CONTEXT)

    assert registry.last(OPERATOR_ACTED).application == "bank"
    assert (seen.state, seen.outcome_reason) == ("aborted", "aborted by Ada: drill")
    with pytest.raises(Poison) as refused:
        await door.ActOnCampaign(abort, NO_CONTEXT)
    assert refused.value.code == FAILED_PRECONDITION


async def test_acting_on_nothing_is_not_found(door: RegistryServicer) -> None:
    with pytest.raises(Poison) as refused:
        await door.ActOnCampaign(pb.ActOnCampaignRequest(campaign_id="x"), NO_CONTEXT)

    assert refused.value.code == NOT_FOUND


async def test_releases_tell_the_part_they_play(registry: Registry, door: RegistryServicer) -> None:
    traffic.crown_first(registry)

    releases = (await door.ListReleases(pb.ListReleasesRequest(), NO_CONTEXT)).releases

    assert [(each.release.model_digest, each.role, each.share) for each in releases] == [
        ("m1", ROLE_CHAMPION, 1.0)
    ]
    assert releases[0].dataset_digest == "d1"
    assert releases[0].created_at.seconds > 0


async def test_lists_come_in_pages_and_each_thing_once(
    registry: Registry, door: RegistryServicer
) -> None:
    for number in range(5):
        application = Application(name=f"app-{number}")
        await door.ApplyApplication(pb.ApplyApplicationRequest(application=application), NO_CONTEXT)
    names: list[str] = []
    token = ""
    while True:
        request = pb.ListApplicationsRequest(page_size=2, page_token=token)
        page = await door.ListApplications(request, NO_CONTEXT)
        names += [each.application.name for each in page.applications]
        token = page.next_page_token
        if not token:
            break

    assert names == ["bank", *(f"app-{number}" for number in range(5))]


@pytest.mark.parametrize("token", ["?", "bm90IG9uZQ==", "ä"])
async def test_a_foreign_page_token_is_refused(door: RegistryServicer, token: str) -> None:
    with pytest.raises(Poison) as refused:
        await door.ListApplications(pb.ListApplicationsRequest(page_token=token), NO_CONTEXT)

    assert refused.value.code == "bad_page_token"


async def test_releases_are_listed_newest_first(registry: Registry, door: RegistryServicer) -> None:
    traffic.crown_first(registry)
    registry.start()
    traffic.to_canary(registry)

    request = pb.ListReleasesRequest(application="bank", page_size=1)
    newest = await door.ListReleases(request, NO_CONTEXT)
    request.page_token = newest.next_page_token
    oldest = await door.ListReleases(request, NO_CONTEXT)

    assert [page.releases[0].role for page in (newest, oldest)] == [ROLE_CANARY, ROLE_CHAMPION]
    assert oldest.next_page_token == ""


async def test_campaigns_are_listed_newest_first_with_their_transitions(
    registry: Registry, door: RegistryServicer
) -> None:
    first = traffic.crown_first(registry)
    second = registry.start(collection="bad")

    page = await door.ListCampaigns(pb.ListCampaignsRequest(application="bank"), NO_CONTEXT)

    assert [each.campaign_id for each in page.campaigns] == [second, first]
    assert [[t.sequence for t in each.transitions] for each in page.campaigns] == [
        [1],
        [1, 2, 3, 4, 5],
    ]
    assert registry.last(CAMPAIGN_REQUESTED).collection == "bad"


async def test_models_datasets_routing_and_lineage_are_served(
    registry: Registry, door: RegistryServicer
) -> None:
    campaign_id = traffic.crown_first(registry)

    models = await door.ListModels(pb.ListModelsRequest(application="bank"), NO_CONTEXT)
    datasets = await door.ListDatasets(pb.ListDatasetsRequest(application="bank"), NO_CONTEXT)
    routing = await door.GetRouting(pb.GetRoutingRequest(application="bank"), NO_CONTEXT)
    release = routing.routes[0].release
    lineage = await door.TraceRelease(
        pb.TraceReleaseRequest(release_digest=release.digest), NO_CONTEXT
    )

    assert [each.digest for each in models.models] == ["m1"]
    assert [each.campaign_id for each in datasets.datasets] == [campaign_id]
    assert routing == registry.last(ROUTING)
    assert lineage.dataset == datasets.datasets[0]


async def test_a_replay_is_served(registry: Registry, door: RegistryServicer) -> None:
    campaign_id = traffic.crown_first(registry)

    answer = await door.ReplayCampaign(
        pb.ReplayCampaignRequest(campaign_id=campaign_id), NO_CONTEXT
    )

    assert answer.agrees
    assert answer.events_read == 5


async def test_a_wrong_field_is_named_for_programs(door: RegistryServicer) -> None:
    bad = Application(name="bank", serving=Serving(admission=Admission(weight=-2)))

    with pytest.raises(Poison) as refused:
        await door.ApplyApplication(pb.ApplyApplicationRequest(application=bad), NO_CONTEXT)

    assert refused.value.param == "serving.admission.weight"


async def test_every_declared_policy_reaches_the_table_and_the_topic(
    registry: Registry, door: RegistryServicer
) -> None:
    declared = Application(
        name="bank",
        serving=Serving(admission=Admission(concurrency=4), cache=Cache(enabled=True, prefix=True)),
        objectives=[Objective(name="latency", threshold=2.5, target=0.95)],
        drift=DriftPolicy(segment_labels=["route"], seasonal=True, cost_per_hour=1.5),
        currency="EUR",
    )

    await door.ApplyApplication(pb.ApplyApplicationRequest(application=declared), NO_CONTEXT)
    registry.settle()

    table, applied = registry.last(ROUTING), registry.last(APPLICATION_APPLIED).application
    assert (table.serving.admission.concurrency, table.serving.admission.queue) == (4, 64)
    assert (table.serving.cache.enabled, table.serving.cache.ttl_s) == (True, 600)
    assert table.serving.cache.prefix
    assert table.currency == "EUR"
    assert applied.objectives[0].period_s == 30 * 24 * 3600
    assert (list(applied.drift.segment_labels), applied.drift.seasonal) == (["route"], True)


async def test_prompts_are_created_and_listed(door: RegistryServicer) -> None:
    given = Prompt(template="{{ tone }}: {{ question }}", variables=["tone"])

    made = await door.CreatePrompt(
        pb.CreatePromptRequest(application="bank", prompt=given, operator="Ada"), NO_CONTEXT
    )
    listed = await door.ListPrompts(pb.ListPromptsRequest(application="bank"), NO_CONTEXT)

    assert (made.prompt.version, made.declared, made.created_by) == (2, False, "Ada")
    assert [(each.prompt.version, each.declared) for each in listed.prompts] == [
        (1, True),
        (2, False),
    ]


async def test_a_bad_prompt_is_refused_with_its_reason(door: RegistryServicer) -> None:
    given = Prompt(template="{{ tone }}")

    with pytest.raises(Poison, match="tone") as refused:
        await door.CreatePrompt(
            pb.CreatePromptRequest(application="bank", prompt=given), NO_CONTEXT
        )

    assert (refused.value.code, refused.value.param) == ("bad_prompt", "template")


async def test_engines_are_listed_with_their_reports(
    registry: Registry, door: RegistryServicer
) -> None:
    registry.start()
    traffic.prepare(registry)
    traffic.train(registry, "m1", with_engine=False)
    traffic.evaluate(registry)
    traffic.build(registry)

    page = await door.ListEngines(pb.ListEnginesRequest(application="bank"), NO_CONTEXT)

    (entry,) = page.engines
    assert (entry.built.model_digest, entry.built.report.sha256) == ("m1", "aa")
    assert (entry.stale, entry.current_version) == (False, "1")


async def test_a_provider_is_approved_with_a_reason(
    registry: Registry, door: RegistryServicer
) -> None:
    backup = Provider(name="backup", base_url="https://api.example.com/v1", model="small-1")
    declared = Application(name="bank", serving=Serving(fallbacks=[backup]))
    await door.ApplyApplication(pb.ApplyApplicationRequest(application=declared), NO_CONTEXT)
    approval = pb.ApproveProviderRequest(application="bank", name="backup", operator="Ada")

    with pytest.raises(Poison) as refused:
        await door.ApproveProvider(approval, NO_CONTEXT)
    approval.reason = "our own gateway"
    entry = await door.ApproveProvider(approval, NO_CONTEXT)
    listed = await door.ListProviders(pb.ListProvidersRequest(application="bank"), NO_CONTEXT)

    assert refused.value.code == "bad_approval"
    assert (entry.approved, entry.approved_by, entry.reason) == (True, "Ada", "our own gateway")
    assert list(listed.providers) == [entry]


async def test_a_started_proposal_is_one(registry: Registry, door: RegistryServicer) -> None:
    traffic.crown_first(registry)
    wanted = Proposal(decoding=Decoding(max_tokens=64, temperature=0.5))

    started = await door.StartCampaign(
        pb.StartCampaignRequest(application="bank", proposal=wanted), NO_CONTEXT
    )
    registry.settle()
    seen = await door.GetCampaign(
        pb.GetCampaignRequest(campaign_id=started.campaign_id), NO_CONTEXT
    )

    assert (seen.kind, seen.state) == ("proposal", "loading")
