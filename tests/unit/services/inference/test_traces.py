"""A caller's trace goes on: into the event, the answer's span and the record that is sent."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.events.headers import get
from libs.events.topics import GENERATION_SERVED
from libs.faults import Retryable
from libs.kafka.memory import MemoryBroker, MemorySink
from libs.rpc.client import channel
from libs.runtime import tracing
from libs.runtime.clock import ManualClock
from protos.inference.v1 import inference_service_pb2 as messages
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from protos.registry.v1.registry_events_pb2 import ROLE_CANARY
from services.inference.adapters.journal import SpoolJournal
from services.inference.adapters.spool import Spool
from services.inference.handlers.deliver import Deliver
from tests.unit.services.inference.doors import Doors
from tests.unit.services.inference.fakes import KEY, FakeEmbedder

TRACE, PARENT = "a" * 32, "b" * 16
CAME = f"00-{TRACE}-{PARENT}-01"
ASKED = {"model": "support", "messages": [{"role": "user", "content": "Where is my card?"}]}


@pytest.fixture
def exported(tracer_provider: tracing.Provider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


class Slow(MemorySink):
    """Kafka takes nothing the first time."""

    away = True

    def flush(self) -> None:
        if self.away:
            self.away = False
            raise Retryable("kafka is away")
        super().flush()


class World:
    def __init__(self, directory: Path) -> None:
        spool = Spool(directory, 1024 * 1024)
        self.broker = MemoryBroker()
        self.deliver = Deliver(spool, Slow(self.broker), FakeEmbedder(), ManualClock())
        self.journal = SpoolJournal(spool, self.deliver.wake)

    async def deliver_again(self) -> list[str]:
        """The ``traceparent`` of each record of two tries, split."""
        with pytest.raises(Retryable):
            await self.deliver.step()
        await self.deliver.step()
        records = self.broker.logs[GENERATION_SERVED.name]
        return [get(record.headers, "traceparent") or "" for record in records]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("sent", [CAME, "00-" + "0" * 32 + f"-{PARENT}-01", "1" * 5000, ""])
async def test_the_event_names_the_callers_trace_where_it_is_a_valid_one(sent: str) -> None:
    async with Doors().open() as doors, httpx.AsyncClient(base_url=doors.url) as client:
        headers = {"authorization": f"Bearer {KEY}", "traceparent": sent}
        answer = await client.post("/chat/completions", json=ASKED, headers=headers)

    assert answer.status_code == 200
    assert [event.traceparent for event in doors.events.served] == [sent if sent == CAME else ""]


@pytest.mark.usefixtures("tracer_provider")
async def test_a_call_of_grpc_is_a_part_of_the_callers_trace() -> None:
    async with Doors().open() as doors, channel(doors.address, KEY) as opened:
        asked = messages.GenerateRequest(messages=[messages.Message(role="user", content="Hi")])
        await InferenceServiceStub(opened).Generate(
            asked, timeout=5, metadata=(("traceparent", CAME),)
        )

    (event,) = doors.events.served
    assert event.traceparent.split("-")[1] == TRACE


async def test_an_answer_is_one_span_however_often_its_event_is_sent(
    world: World, exported: InMemorySpanExporter
) -> None:
    event = GenerationServed(
        generation_id="one",
        application="support",
        role=ROLE_CANARY,
        request_model="small",
        finish_reason="error",
        error_code="deadline",
        prompt_tokens=3,
        latency_s=2.5,
        traceparent=CAME,
    )
    event.served_at.FromDatetime(datetime(2026, 1, 1, 12, tzinfo=UTC))
    world.journal.append(GENERATION_SERVED, event)

    sent = await world.deliver_again()

    span: ReadableSpan
    (span,) = exported.get_finished_spans()
    assert (span.name, span.status.description) == ("chat small", "deadline")
    assert span.parent is not None
    assert (f"{span.parent.trace_id:x}", f"{span.parent.span_id:x}") == (TRACE, PARENT)
    assert (span.end_time, span.start_time) == (1767268800 * 10**9, 17672687975 * 10**8)
    assert span.attributes is not None
    assert span.attributes["gen_ai.usage.input_tokens"] == 3
    assert (span.attributes["perennial.role"], span.attributes["error.type"]) == (
        "canary",
        "deadline",
    )
    assert sent[-1].split("-")[1:3] == [TRACE, f"{span.context.span_id:016x}"]


@pytest.mark.usefixtures("tracer_provider")
async def test_a_record_stays_in_the_callers_trace_while_nobody_exports(world: World) -> None:
    for came in (CAME, ""):
        world.journal.append(
            GENERATION_SERVED,
            GenerationServed(generation_id="one", application="support", traceparent=came),
        )

    traced, untraced = (await world.deliver_again())[-2:]

    assert traced.split("-")[1] == TRACE
    assert untraced == ""
