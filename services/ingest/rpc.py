"""The gRPC door: a client stream of records, one answer."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from libs.rpc.auth import bearer, digest
from protos.ingest.v1 import ingest_service_pb2_grpc as stubs
from protos.ingest.v1.ingest_events_pb2 import Record
from protos.ingest.v1.ingest_service_pb2 import Rejection, UploadRequest, UploadResponse
from services.ingest import wire
from services.ingest.domain import Draft
from services.ingest.handlers import Authenticate, Receipt, Upload

SERVICE = "perennial.ingest.v1.IngestService"


def _read(record: Record, application: str) -> Draft:
    return wire.for_application(wire.draft_of_record(record), application)


def _response(receipt: Receipt) -> UploadResponse:
    rejections = [
        Rejection(line=each.line, code=each.refusal.code, reason=each.refusal.reason)
        for each in receipt.rejections
    ]
    return UploadResponse(
        accepted=receipt.accepted, rejected=receipt.rejected, rejections=rejections
    )


@dataclass(frozen=True, slots=True)
class IngestServicer:
    authenticate: Authenticate
    upload: Callable[[], Upload]

    def register(self, server: grpc.aio.Server) -> None:
        stubs.add_IngestServiceServicer_to_server(self, server)  # type: ignore[arg-type]  # by shape

    async def Upload(  # noqa: N802  # the contract's name
        self,
        request_iterator: AsyncIterator[UploadRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> UploadResponse:
        key = bearer(context.invocation_metadata())
        application = self.authenticate(digest(key) if key else None)
        upload = self.upload()
        line = 0
        async for request in request_iterator:
            line += 1
            await upload.add(line, request.ByteSize(), partial(_read, request.record, application))
        return _response(await upload.finish())
