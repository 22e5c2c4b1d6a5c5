"""One generation, from its first piece to its event, wherever it is made."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from jinja2 import TemplateError

from libs.events.headers import new_event_id
from libs.events.topics import GENERATION_SERVED
from libs.faults import Poison
from libs.runtime.clock import Clock
from services.inference.domain import prompt
from services.inference.domain.assignment import Assignment
from services.inference.domain.cache import Cache, merged
from services.inference.domain.generation import Delta, Finish, Message, Sampling, Served, sampling
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.release import Engine, Provider, Release, Role
from services.inference.handlers import instruments
from services.inference.handlers.external import External, refuse_unheard
from services.inference.handlers.forming import held, repaired
from services.inference.handlers.generation import Generation, Trace
from services.inference.ports import (
    CONTEXT_EXCEEDED,
    REFUSED_BY_ENGINE,
    ContextExceeded,
    EngineFailed,
    Generator,
    Journal,
)
from services.inference.wire import events
from services.inference.wire.ask import BadParameter

ELSEWHERE: Final = frozenset({"engine_down", "engine_busy", "engine_error"})
"""Failures that another release may not share."""
OF_ONE_API: Final = frozenset({CONTEXT_EXCEEDED, REFUSED_BY_ENGINE})
"""Refusals of a provider that another one may not share."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Lets a release answer, another where it cannot, and keeps the event of what came of it."""

    generator: Generator
    loaded: LoadedEngines
    journal: Journal
    clock: Clock
    on_engine_down: Callable[[str], None]
    external: External | None = None
    cache: Cache | None = None

    def ready(self, engine: Engine) -> bool:
        """Whether it may be asked now."""
        if engine.provider is not None:
            return self.external is not None and self.external.available(engine.provider)
        return self.loaded.ready(engine.digest)

    def lively(self, engine: Engine) -> bool:
        """Whether it may be asked now, and there is no doubt that it answers."""
        return self.ready(engine) if engine.provider else self.loaded.lively(engine.digest)

    async def run(
        self, generation: Generation, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        """Pieces of the answer; before the last of them is given out the event is kept and the
        place left."""
        trace = Trace(started_s=self.clock.monotonic() - generation.queue_s)
        try:
            async with aclosing(self._somewhere(generation, timeout_s, trace)) as pieces:
                async for piece in pieces:
                    yield piece
        except (asyncio.CancelledError, GeneratorExit):
            trace.error_code = "cancelled"
            raise
        except (EngineFailed, Poison) as error:
            trace.error_code = error.code
            raise
        except Exception:
            trace.error_code = "bug"
            raise
        finally:
            served = self._keep(generation, trace)
            if generation.seat is not None:
                generation.seat.leave()
        if trace.finish is not None:
            generation.answered(generation, served)
            yield trace.finish

    async def _somewhere(
        self, generation: Generation, timeout_s: float, trace: Trace
    ) -> AsyncGenerator[Delta, None]:
        """By the assigned release; before its first piece, by those that stand in for it."""
        ends_s = self.clock.monotonic() + timeout_s
        others: Iterator[Release] | None = None  # most answers need none
        failures: list[EngineFailed | Poison] = []
        while True:
            release = generation.origin.assignment.release
            digest, left_s = release.engine.digest, ends_s - self.clock.monotonic()
            try:
                with self.loaded.lease(digest):
                    async with aclosing(self._asked(generation, release, left_s)) as pieces:
                        async for piece in pieces:
                            self.loaded.count(digest)
                            if isinstance(piece, Finish):
                                trace.finish = piece
                            else:
                                trace.took(piece, self.clock)
                                yield piece
                if trace.finish is None:
                    raise EngineFailed("the engine stopped without an end", code="engine_error")
                return
            except (EngineFailed, Poison) as failure:
                if failure.code == "engine_down" and release.engine.provider is None:
                    self.on_engine_down(digest)
                if trace.pieces or not _elsewhere(failure, release):
                    raise
                failures.append(failure)
                others = others or iter(self._others(generation))
                other = next((one for one in others if self.ready(one.engine)), None)
                if other is None:  # what may pass is told before what will be refused again
                    passing = (one for one in failures if isinstance(one, EngineFailed))
                    raise next(passing, failures[0]) from None
                self._stand_in(generation, other, failure, trace)

    def _others(self, generation: Generation) -> list[Release]:
        """Who may stand in, best first. A mirror shows what its release does, and nothing else."""
        role, table = generation.assignment.role, generation.table
        if role is Role.SHADOW:
            return []
        champion = table.route(Role.CHAMPION)
        first = [champion.release] if champion is not None and role is Role.CANARY else []
        tried = generation.assignment.release.digest
        return [release for release in (*first, *table.fallbacks) if release.digest != tried]

    def _stand_in(
        self, generation: Generation, other: Release, failure: EngineFailed | Poison, trace: Trace
    ) -> None:
        instruments.FALLBACKS.labels(failure.code).inc()
        if generation.origin.assignment.role is Role.CANARY:
            # The campaign is judged by what its candidate failed to answer, too.
            failed = replace(generation, id=new_event_id())
            self._keep(failed, Trace(trace.started_s, error_code=failure.code))
        generation.origin.assignment = Assignment(other, Role.FALLBACK, 0.0)

    def _asked(
        self, generation: Generation, release: Release, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        if generation.cached:
            return _replayed(generation.cached)
        ask = generation.ask
        wish = sampling(ask, release.decoding, generation.id)
        try:
            if release.engine.provider is not None and self.external is not None:
                said = prompt.wrapped(release, ask.messages, ask.variables)
                refuse_unheard(release.engine.provider, ask)
                return self._abroad(release.engine.provider, said, wish, timeout_s)
            text = prompt.render(release, ask.messages, self.clock.now(), ask.variables)
        except prompt.BadVariable as error:
            raise BadParameter(_variable(error.name), str(error)) from error
        except prompt.PromptTooLong as error:
            raise ContextExceeded(str(error)) from error
        except prompt.BadValues as error:
            param = "prompt_variables" if ask.variables else "messages"
            raise BadParameter(param, str(error)) from error
        except TemplateError as error:
            raise EngineFailed("the release's template failed", code="bad_template") from error
        pieces = self.generator.generate(release.engine.digest, text, wish, timeout_s)
        return pieces if wish.form is None else held(pieces, wish.form)

    def _abroad(
        self, provider: Provider, said: tuple[Message, ...], wish: Sampling, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        """By an external provider, of whom nothing is known."""
        assert self.external is not None
        external, ends_s = self.external, self.clock.monotonic() + timeout_s

        def ask(messages: tuple[Message, ...]) -> AsyncGenerator[Delta | Finish, None]:
            return external.generate(provider, messages, wish, ends_s - self.clock.monotonic())

        return ask(said) if wish.form is None else repaired(ask, said, wish.form)

    def _keep(self, generation: Generation, trace: Trace) -> Served:
        served = _served(generation, trace, self.clock)
        self.journal.append(GENERATION_SERVED, events.generation_served(served))
        role = served.assignment.role.value
        instruments.generations(role, served.finish_reason).inc()
        if served.finish is not None:
            instruments.latency(role).observe(served.latency_s)
            instruments.first_token(role).observe(served.time_to_first_token_s)
            if not served.cached:
                instruments.tokens(role, "input").inc(served.finish.prompt_tokens)
                instruments.tokens(role, "output").inc(served.finish.completion_tokens)
            self._remember(generation, served, trace)
        return served

    def _remember(self, generation: Generation, served: Served, trace: Trace) -> None:
        """For the next who asks the same of the same release."""
        if self.cache is None or generation.key is None or served.finish is None:
            return
        if served.cached or generation.origin.assignment.role is Role.FALLBACK:
            return
        pieces = merged((*trace.pieces, served.finish))
        caching = generation.table.serving.caching
        self.cache.put(generation.key, pieces, caching, self.clock.monotonic())
        instruments.CACHE_BYTES.set(self.cache.size)


def _elsewhere(failure: EngineFailed | Poison, release: Release) -> bool:
    """Whether another may answer: what one API refuses is no fault of the request alone."""
    abroad = release.engine.provider is not None
    return failure.code in ELSEWHERE or (abroad and failure.code in OF_ONE_API)


def _variable(name: str) -> str:
    return f"prompt_variables.{name}" if name else "messages"


async def _replayed(
    pieces: tuple[Delta | Finish, ...],
) -> AsyncGenerator[Delta | Finish, None]:
    for piece in pieces:
        yield piece


def _served(generation: Generation, trace: Trace, clock: Clock) -> Served:
    assignment = generation.origin.assignment
    finish = None if trace.error_code else trace.finish
    provider = assignment.release.engine.provider
    cost = 0.0
    if provider is not None and finish is not None and not generation.cached:
        cost = provider.cost(finish.prompt_tokens, finish.completion_tokens)
    if generation.seat is not None:
        used = finish.prompt_tokens + finish.completion_tokens if finish else len(trace.pieces)
        generation.seat.tokens = used
    return Served(
        generation_id=generation.id,
        application=generation.table.application,
        campaign_id="" if assignment.role is Role.FALLBACK else generation.table.live_campaign,
        assignment=assignment,
        ask=generation.ask,
        answer=trace.text,
        finish=finish,
        error_code=trace.error_code,
        time_to_first_token_s=trace.first_token_s,
        latency_s=clock.monotonic() - trace.started_s,
        served_at=clock.now(),
        shadow_of=generation.shadow_of,
        request_model=provider.model if provider else "",
        provider=provider.name if provider else "",
        cost=cost,
        cached=bool(generation.cached),
        queue_s=generation.queue_s,
    )
