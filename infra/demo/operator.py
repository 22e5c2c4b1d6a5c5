"""What an operator of the application does: declare it, upload records, start campaigns."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.json_format import ParseDict

from infra.demo.data import Pair
from infra.demo.observe import Observer
from infra.demo.scale import Scale
from protos.inference.v1.inference_service_pb2 import GenerateRequest, Message
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind
from protos.ingest.v1.ingest_service_pb2 import UploadResponse
from protos.registry.v1 import registry_service_pb2 as messages
from services.cli import upload
from services.cli.applications import make_key
from services.cli.session import TIMEOUT_S, Session

REACHED_WITHIN_S: Final = 30


@dataclass(frozen=True, slots=True)
class Operator:
    session: Session
    application: str

    def declare(self, scale: Scale) -> None:
        """What `perennial apply` does."""
        registry = Observer(self.session, self.application).registry()
        declared = scale.application(self.application)
        registry.ApplyApplication(
            messages.ApplyApplicationRequest(application=declared), timeout=TIMEOUT_S
        )
        if self.application not in self.session.api_keys():
            make_key(self.session, registry, self.application)

    def upload(self, pairs: Iterable[Pair], collection: str = "") -> UploadResponse:
        """Examples, each with its domain as segment and its document as group."""
        records = (_record(pair, collection) for pair in pairs)
        return upload.upload(self.session, self.application, records)

    def start(self, collection: str, reason: str, override: str = "") -> str:
        """The id of a new campaign."""
        request = messages.StartCampaignRequest(
            application=self.application,
            collection=collection,
            operator="demo",
            reason=reason,
            override_reason=override,
        )
        registry = Observer(self.session, self.application).registry()
        return str(registry.StartCampaign(request, timeout=TIMEOUT_S).campaign_id)

    def await_answers(self, question: str) -> None:
        """Until the gateway answers: a first promotion takes a moment to reach its table.

        Raises:
            grpc.RpcError: it still does not after ``REACHED_WITHIN_S``.
        """
        gateway = InferenceServiceStub(self.session.tenant("inference.rpc", self.application))
        request = GenerateRequest(messages=[Message(role="user", content=question)])
        for left in range(REACHED_WITHIN_S, -1, -1):
            try:
                gateway.Generate(request, timeout=TIMEOUT_S)
                return
            except grpc.RpcError as error:
                if left == 0 or error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            time.sleep(1.0)


def _record(pair: Pair, collection: str) -> Record:
    return ParseDict(
        {
            "prompt": pair.question,
            "answer": pair.answer,
            "group": pair.group,
            "collection": collection,
            "labels": {"segment": pair.segment, "group": pair.group},
        },
        Record(kind=RecordKind.RECORD_KIND_EXAMPLE),
    )
