"""One request, from assignment to its event."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from jinja2 import TemplateError

from libs.events.headers import new_event_id
from libs.events.topics import GENERATION_SERVED
from libs.faults import FAILED_PRECONDITION, RESOURCE_EXHAUSTED, Poison
from libs.runtime.clock import Clock
from services.inference.domain import prompt
from services.inference.domain.admission import Admission
from services.inference.domain.assignment import Assignment, assign
from services.inference.domain.generation import Ask, Delta, Finish, Served, sampling
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.release import Table
from services.inference.handlers import instruments
from services.inference.ports import EngineFailed, Generator, Journal
from services.inference.wire import events

NO_RELEASE = "no_release_ready"


@dataclass(frozen=True, slots=True)
class Runner:
    """Lets an engine generate, and keeps the event of whatever came of it."""

    generator: Generator
    loaded: LoadedEngines
    journal: Journal
    clock: Clock
    on_engine_down: Callable[[str], None]

    async def run(
        self, generation: "Generation", timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        """Pieces of the answer; the event is kept before the last of them is given out."""
        trace = _Trace(started_s=self.clock.monotonic())
        digest = generation.assignment.release.engine.digest
        try:
            with self.loaded.lease(digest):
                async with aclosing(self._pieces(generation, timeout_s, trace)) as pieces:
                    async for piece in pieces:
                        yield piece
            self.loaded.count(digest)
        except (asyncio.CancelledError, GeneratorExit):
            trace.error_code = "cancelled"
            raise
        except (EngineFailed, Poison) as error:
            trace.error_code = error.code
            if error.code == "engine_down":
                self.on_engine_down(digest)
            raise
        except Exception:
            trace.error_code = "bug"
            raise
        finally:
            served = self._keep(generation, trace)
        if trace.finish is not None:
            generation.answered(served)
            yield trace.finish

    async def _pieces(
        self, generation: "Generation", timeout_s: float, trace: "_Trace"
    ) -> AsyncGenerator[Delta, None]:
        release = generation.assignment.release
        try:
            text = prompt.render(release, generation.ask.messages)
        except (TemplateError, TypeError) as error:
            raise EngineFailed("the release's template failed", code="bad_template") from error
        wish = sampling(generation.ask, release.decoding, generation.id)
        pieces = self.generator.generate(release.engine.digest, text, wish, timeout_s)
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Finish):
                    trace.finish = piece
                    continue
                if not trace.parts:
                    trace.first_token_s = self.clock.monotonic() - trace.started_s
                trace.parts.append(piece.text)
                yield piece
        if trace.finish is None:
            raise EngineFailed("the engine stopped without an end", code="engine_error")

    def _keep(self, generation: "Generation", trace: "_Trace") -> Served:
        failed = bool(trace.error_code)
        served = Served(
            generation_id=generation.id,
            application=generation.table.application,
            campaign_id=generation.table.live_campaign,
            assignment=generation.assignment,
            ask=generation.ask,
            answer="".join(trace.parts),
            finish=None if failed else trace.finish,
            error_code=trace.error_code,
            time_to_first_token_s=trace.first_token_s,
            latency_s=self.clock.monotonic() - trace.started_s,
            served_at=self.clock.now(),
            shadow_of=generation.shadow_of,
        )
        self.journal.append(GENERATION_SERVED, events.generation_served(served))
        role = served.assignment.role.value
        instruments.GENERATIONS.labels(role, served.finish_reason).inc()
        if not failed:
            instruments.LATENCY_SECONDS.labels(role).observe(served.latency_s)
            instruments.FIRST_TOKEN_SECONDS.labels(role).observe(served.time_to_first_token_s)
        return served


@dataclass(slots=True)
class _Trace:
    """What is known of a generation so far."""

    started_s: float
    parts: list[str] = field(default_factory=list)
    first_token_s: float = 0.0
    finish: Finish | None = None
    error_code: str = ""


def _nothing(_: Served) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer to be made: to whom, by which release."""

    id: str
    table: Table
    ask: Ask
    assignment: Assignment
    answered: Callable[[Served], None] = _nothing
    shadow_of: str = ""

    @property
    def release_digest(self) -> str:
        return self.assignment.release.digest


@dataclass(frozen=True, slots=True)
class Answer:
    """Assigns a request to a release and answers it."""

    runner: Runner
    admission: Admission
    mirror: Callable[[Generation, Served], None]
    generate_s: float

    def begin(self, table: Table, ask: Ask) -> Generation:
        """Choose the release.

        Raises:
            Poison: ``resource_exhausted`` when too many requests are under way,
                ``failed_precondition`` when no release of the application is loaded here.
        """
        if self.admission.full():
            instruments.REFUSALS.labels("busy").inc()
            raise Poison("too many requests are under way", code=RESOURCE_EXHAUSTED)
        generation_id = new_event_id()
        chosen = assign(table, ask.episode_id or generation_id, self.runner.loaded.ready)
        if chosen is None:
            instruments.REFUSALS.labels(NO_RELEASE).inc()
            raise Poison(
                f"no release of {table.application} is loaded yet", code=FAILED_PRECONDITION
            )
        generation = Generation(generation_id, table, ask, chosen)
        return replace(generation, answered=lambda served: self.mirror(generation, served))

    async def stream(
        self, generation: Generation, timeout_s: float | None = None
    ) -> AsyncGenerator[Delta | Finish, None]:
        """The answer's pieces, then its `Finish`. Close it to cancel.

        Raises:
            EngineFailed: no whole answer came; what came was given out.
            Poison: ``refused_by_engine``.
        """
        budget_s = min(self.generate_s, timeout_s or self.generate_s)
        with self.admission.seat():
            pieces = self.runner.run(generation, budget_s)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece

    async def whole(
        self, generation: Generation, timeout_s: float | None = None
    ) -> tuple[str, Finish]:
        """The whole answer; raises as ``stream`` does."""
        parts: list[str] = []
        pieces = self.stream(generation, timeout_s)
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Finish):
                    return "".join(parts), piece
                parts.append(piece.text)
        raise EngineFailed("the engine stopped without an end", code="engine_error")
