"""The story: quiet traffic, drift, retraining, promotion, and two bad candidates."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from infra.demo import data
from infra.demo.data import Pair
from infra.demo.observe import ENDED, Observer
from infra.demo.operator import Operator
from infra.demo.scale import Scale
from infra.demo.traffic import Asked, Users, draws
from infra.demo.waiting import (
    LOOK_EVERY_S,
    StoryFailedError,
    caught_up,
    soon,
    until_campaign,
    until_watching,
)
from libs.events.topics import DRIFT_DETECTED, GENERATION_SERVED, RECORD_RECEIVED
from services.cli.session import Session

CAMPAIGN_WITHIN_S: Final = 900.0
BEFORE_TRAFFIC: Final = frozenset(
    {"requested", "preparing", "training", "evaluating", "building", "loading"}
)


@dataclass(slots=True)
class Step:
    name: str
    started_at: datetime
    seconds: float = 0.0
    detail: str = ""
    done: bool = False
    error: str = ""


@dataclass(slots=True)
class Story:
    """Plays the steps in order. ``show`` is called whenever something is worth showing."""

    session: Session
    scale: Scale
    application: str
    bank: list[Pair]
    python: list[Pair]
    show: Callable[[Step], None] = lambda _: None
    steps: list[Step] = field(default_factory=list)
    campaigns: dict[str, str] = field(default_factory=dict)
    """What a campaign is in the story -> its id."""
    shifted_at_request: int = 0
    users: Users | None = None

    @property
    def operator(self) -> Operator:
        return Operator(self.session, self.application)

    @property
    def observer(self) -> Observer:
        return Observer(self.session, self.application)

    async def play(self, *, forced: bool = True) -> None:
        """All of it; ``forced``: with the bad candidate that an operator pushes into canary.

        Raises:
            StoryFailedError: with what was expected and what was seen instead.
        """
        await self.declare()
        self.users = Users(self.session, self.application)
        try:
            await self.first_release()
            await self.quiet_traffic()
            await self.shifted_traffic()
            await self.retraining()
            await self.bad_candidate()
            if forced:
                await self.forced_candidate()
        finally:
            await self.users.close()

    async def declare(self) -> None:
        async with self._step("Declare the application, upload bank support pairs") as step:
            self.operator.declare(self.scale)
            pairs = [pair for pair in self.bank if not data.is_live(pair)][: self.scale.upload]
            await self._upload(step, pairs, "")

    async def first_release(self) -> None:
        async with self._step("Fine-tune, evaluate and release the first model") as step:
            campaign = self._start("first", "", "the first release")
            await self._follow(step, campaign, lambda state: state in ENDED)
            self._expect(step, campaign, "promoted")
            await asyncio.to_thread(self.operator.await_answers, self.bank[0].question)

    async def quiet_traffic(self) -> None:
        async with self._step("Real bank questions: no alarm may ring") as step:
            pairs = draws("quiet", [pair for pair in self.bank if data.is_live(pair)])
            # Near copies and answers without an embedding do not count for the reference.
            most = 2 * self.scale.reference
            watching = asyncio.create_task(until_watching(self.observer))
            await self._ask(step, islice(pairs, most), most, enough=watching.done)
            await soon(watching, "the detector to watch", self.observer.signals)
            await self._ask(step, islice(pairs, self.scale.quiet), self.scale.quiet)
            await self._settled(step)
            self._no_alarm()
            step.detail = f"{self.users_.log.sent} requests answered, no alarm"

    async def shifted_traffic(self) -> None:
        async with self._step("Questions turn to Python; users correct the answers") as step:
            fresh = [pair for pair in self.python if not data.is_live(pair)]
            self.shifted_at_request = self.users_.log.sent + 1
            known = set(self.campaigns.values())
            task = asyncio.create_task(until_campaign(self.observer, known))
            most = min(len(fresh), 4 * self.scale.new_rows)
            await self._ask(step, iter(fresh[:most]), most, correct=True, enough=task.done)
            self.campaigns["retraining"] = await soon(
                task, "a campaign of the monitor", self.observer.signals
            )
            rang = [delivery.event for delivery in self.observer.events(DRIFT_DETECTED)]
            at = self.users_.log.number_of(rang[0].generation_id) if rang else None
            if at is None:
                raise StoryFailedError("a campaign began without an alarm on our traffic")
            step.detail = f"alarm {at - self.shifted_at_request + 1} requests after the change"

    async def retraining(self) -> None:
        campaign = self.campaigns["retraining"]
        async with self._step(
            "The monitor's campaign: retrain and evaluate on both domains"
        ) as step:
            await self._follow(step, campaign, lambda state: state not in BEFORE_TRAFFIC)
            self._expect_not(campaign, {"rejected", "failed", "aborted"})
            step.detail = "passed on both domains; its engine is loaded"
        async with self._step("Shadow, then canary with a growing share") as step:
            await self._roll_out(step, campaign, "canary")
            self._expect(step, campaign, "promoted")

    async def bad_candidate(self) -> None:
        async with self._step("A bad candidate: shuffled answers") as step:
            await self._upload(step, data.with_shuffled_answers(self._bad_pairs()), "shuffled")
            campaign = self._start("shuffled", "shuffled", "trained on shuffled answers")
            await self._follow(step, campaign, lambda state: state in ENDED)
            self._expect(step, campaign, "rejected")

    async def forced_candidate(self) -> None:
        async with self._step("A worse one, forced into canary by an operator") as step:
            await self._upload(step, data.with_a_rebuff(self._bad_pairs()), "rebuff")
            why = "demonstration: the gate is passed over"
            campaign = self._start("forced", "rebuff", "trained to send users away", why)
            await self._follow(step, campaign, lambda state: state not in BEFORE_TRAFFIC)
            await self._roll_out(step, campaign, "forced")
            self._expect(step, campaign, "rolled_back")
            if failed := self.users_.log.failed:
                raise StoryFailedError(f"{failed} requests failed; none should have")
            await caught_up(self.session, GENERATION_SERVED.name)

    @property
    def users_(self) -> Users:
        if self.users is None:
            raise StoryFailedError("no traffic before the application is declared")
        return self.users

    def _bad_pairs(self) -> list[Pair]:
        """Bank and Python pairs by turns, none of them live."""
        bank = [pair for pair in self.bank if not data.is_live(pair)]
        python = [pair for pair in self.python if not data.is_live(pair)]
        count = self.scale.bad_rows // 2
        return [pair for both in zip(bank[:count], python[-count:], strict=True) for pair in both]

    def _start(self, role: str, collection: str, reason: str, override: str = "") -> str:
        self.campaigns[role] = self.operator.start(collection, reason, override)
        return self.campaigns[role]

    async def _upload(self, step: Step, pairs: list[Pair], collection: str) -> None:
        answer = await asyncio.to_thread(self.operator.upload, pairs, collection)
        if answer.rejected:
            first = answer.rejections[0]
            raise StoryFailedError(f"{answer.rejected} records refused, e.g. {first.reason}")
        self._say(step, f"{answer.accepted} records taken in")
        await caught_up(self.session, RECORD_RECEIVED.name)

    async def _ask(
        self,
        step: Step,
        pairs: object,
        wanted: int,
        *,
        correct: bool = False,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        began = self.users_.log.sent

        def heard(asked: Asked) -> None:
            if asked.error:
                raise StoryFailedError(f"request {asked.number} failed: {asked.error}")
            self._say(step, f"{self.users_.log.sent - began} of at most {wanted} requests")

        await self.users_.ask(pairs, correct=correct, enough=enough, heard=heard)  # type: ignore[arg-type]

    async def _roll_out(self, step: Step, campaign: str, seed: str) -> None:
        """Live traffic, two questions of three on Python, until the campaign has ended."""
        bank, python = (
            [pair for pair in domain if data.is_live(pair)] for domain in (self.bank, self.python)
        )
        ended = asyncio.create_task(
            self._follow(step, campaign, lambda state: state in ENDED, say=False)
        )
        pairs = islice(draws(seed, bank, python, python), self.scale.most_requests)
        await self._ask(step, pairs, self.scale.most_requests, enough=ended.done)
        if not ended.done():
            await self._settled(step)
        await soon(ended, f"campaign {campaign} to end", lambda: self.observer.campaign(campaign))

    async def _follow(
        self, step: Step, campaign: str, until: Callable[[str], bool], *, say: bool = True
    ) -> None:
        """Until the campaign's state satisfies ``until``."""
        deadline = time.monotonic() + CAMPAIGN_WITHIN_S
        while time.monotonic() < deadline:
            found = await asyncio.to_thread(self.observer.campaign, campaign)
            if until(found.state):
                return
            if say:
                self._say(step, await self._progress(campaign, found.state))
            await asyncio.sleep(LOOK_EVERY_S)
        raise StoryFailedError(f"campaign {campaign} is still {found.state}")

    async def _progress(self, campaign: str, state: str) -> str:
        if state != "training":
            return state
        return f"{state}: {await asyncio.to_thread(self.observer.training_progress, campaign)}"

    async def _settled(self, step: Step) -> None:
        self._say(step, f"{step.detail}; waiting for the last events")
        await caught_up(self.session, GENERATION_SERVED.name)

    def _no_alarm(self) -> None:
        for delivery in self.observer.events(DRIFT_DETECTED):
            event = delivery.event
            raise StoryFailedError(f"a false alarm of {event.signal} at event {event.at_event}")

    def _expect(self, step: Step, campaign: str, state: str) -> None:
        found = self.observer.campaign(campaign)
        step.detail = f"{found.state}: {found.outcome_reason}"
        if found.state != state:
            raise StoryFailedError(
                f"campaign {campaign} is {found.state}, not {state}: {found.outcome_reason}"
            )

    def _expect_not(self, campaign: str, states: set[str]) -> None:
        found = self.observer.campaign(campaign)
        if found.state in states:
            raise StoryFailedError(f"campaign {campaign} is {found.state}: {found.outcome_reason}")

    def _say(self, step: Step, detail: str) -> None:
        step.detail = detail
        self.show(step)

    @asynccontextmanager
    async def _step(self, name: str) -> AsyncIterator[Step]:
        step = Step(name, datetime.now(UTC))
        self.steps.append(step)
        began = time.monotonic()
        self.show(step)
        try:
            yield step
            step.done = True
        except Exception as error:
            step.error = str(error)
            raise
        finally:
            step.seconds = time.monotonic() - began
            self.show(step)
