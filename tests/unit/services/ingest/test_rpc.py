"""The gRPC door, over a real channel on loopback."""

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from libs.rpc.server import Doorkeeper
from protos.ingest.v1 import ingest_service_pb2_grpc as stubs
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind
from protos.ingest.v1.ingest_service_pb2 import UploadRequest
from services.ingest.rpc import IngestServicer

from .fakes import KEY, Ingest

EXAMPLE = Record(kind=RecordKind.RECORD_KIND_EXAMPLE, prompt="How?", answer="So.")


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


@pytest.fixture
async def stub(ingest: Ingest) -> AsyncIterator["stubs.IngestServiceAsyncStub"]:
    server = grpc.aio.server(interceptors=[Doorkeeper(None)])
    IngestServicer(ingest.authenticate, ingest.upload).register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield stubs.IngestServiceStub(channel)
    await server.stop(None)


def requests(*records: Record) -> Iterator[UploadRequest]:
    return iter([UploadRequest(record=record) for record in records])


async def test_a_stream_is_taken_in_and_its_bad_records_are_named(
    ingest: Ingest, stub: "stubs.IngestServiceAsyncStub"
) -> None:
    foreign = Record(application="shop", kind=EXAMPLE.kind, prompt="How?", answer="So.")
    empty = Record(kind=EXAMPLE.kind)

    answer = await stub.Upload(
        requests(EXAMPLE, foreign, empty, Record()),
        metadata=[("authorization", f"Bearer {KEY}")],
    )

    assert (answer.accepted, answer.rejected) == (1, 3)
    assert [(each.line, each.code) for each in answer.rejections] == [
        (2, "wrong_application"),
        (3, "missing_field"),
        (4, "unknown_kind"),
    ]
    assert ingest.received()[0].record.application == "bank"


async def test_without_a_key_the_call_is_unauthenticated(
    stub: "stubs.IngestServiceAsyncStub",
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Upload(requests(EXAMPLE))

    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
