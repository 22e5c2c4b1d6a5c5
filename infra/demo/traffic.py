"""Users who ask, through gRPC and through the OpenAI client, and say what they think."""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import grpc
import openai
from openai.types.chat import ChatCompletion

from infra.demo.data import Pair
from infra.demo.rater import Rater
from libs.rpc.client import channel
from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from protos.feedback.v1.feedback_service_pb2_grpc import FeedbackServiceStub
from protos.inference.v1.inference_service_pb2 import GenerateRequest, Message
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.cli.session import Session

CONCURRENCY: Final = 12
TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what came of it."""

    number: int
    pair: Pair
    generation_id: str
    release: str
    answer: str
    rating: float | None
    error: str


@dataclass(slots=True)
class Log:
    """Every request so far, in the order in which they were sent."""

    asked: list[Asked] = field(default_factory=list)
    sent: int = 0

    @property
    def answered(self) -> int:
        return sum(1 for one in self.asked if not one.error)

    @property
    def failed(self) -> int:
        return sum(1 for one in self.asked if one.error)

    def number_of(self, generation_id: str) -> int | None:
        return next((a.number for a in self.asked if a.generation_id == generation_id), None)


class Users:
    """Asks questions ``CONCURRENCY`` at a time; even ones by gRPC, odd ones by HTTP."""

    def __init__(self, session: Session, application: str) -> None:
        key = session.api_key(application)
        self.log = Log()
        self._application = application
        self._inference = channel(session.address("inference.rpc"), key)
        self._feedback = channel(session.address("feedback.rpc"), key)
        self._grpc = InferenceServiceStub(self._inference)
        self._give = FeedbackServiceStub(self._feedback)
        base = f"http://{session.address('inference.http')}/v1"
        self._openai = openai.AsyncOpenAI(
            base_url=base, api_key=key, timeout=TIMEOUT_S, max_retries=0
        )
        self._rater = Rater(session.address("triton"))

    async def close(self) -> None:
        await self._inference.close()
        await self._feedback.close()
        await self._openai.close()
        await self._rater.close()

    async def ask(
        self,
        pairs: Iterable[Pair],
        *,
        correct: bool,
        enough: Callable[[], bool] = lambda: False,
        heard: Callable[[Asked], None] = lambda _: None,
    ) -> int:
        """Ask until the pairs run out or ``enough`` says so; returns how many were sent.

        Each answer is rated; with ``correct`` the known answer is given as a correction too.
        """
        queue: Iterator[Pair] = iter(pairs)
        began = self.log.sent

        async def user() -> None:
            for pair in queue:
                if enough():
                    return
                heard(await self._one(pair, correct))

        await asyncio.gather(*(user() for _ in range(CONCURRENCY)))
        return self.log.sent - began

    async def _one(self, pair: Pair, correct: bool) -> Asked:
        self.log.sent += 1
        number = self.log.sent
        labels = {"segment": pair.segment, "group": pair.group, "episode_id": f"visit-{number}"}
        way = self._by_grpc if number % 2 == 0 else self._by_http
        try:
            generation_id, release, answer = await way(pair.question, labels)
            rating = await self._rater.rate(answer, pair.answer)
            given = GiveRequest(generation_id=generation_id, rating=rating)
            if correct:
                given.correction = pair.answer
            await self._give.Give(given, timeout=TIMEOUT_S)
            asked = Asked(number, pair, generation_id, release, answer, rating, "")
        except (grpc.RpcError, openai.OpenAIError) as error:
            asked = Asked(number, pair, "", "", "", None, f"{type(error).__name__}: {error}")
        self.log.asked.append(asked)
        return asked

    async def _by_grpc(self, question: str, labels: dict[str, str]) -> tuple[str, str, str]:
        metadata = {key: value for key, value in labels.items() if key != "episode_id"}
        request = GenerateRequest(
            messages=[Message(role="user", content=question)],
            episode_id=labels["episode_id"],
            metadata=metadata,
        )
        answer = await self._grpc.Generate(request, timeout=TIMEOUT_S)
        return answer.generation_id, answer.release_digest, answer.text

    async def _by_http(self, question: str, labels: dict[str, str]) -> tuple[str, str, str]:
        answer: ChatCompletion = await self._openai.chat.completions.create(
            model=self._application,
            messages=[{"role": "user", "content": question}],
            metadata=labels,
        )
        text = answer.choices[0].message.content or ""
        return answer.id, answer.system_fingerprint or "", text


def draws(seed: str, *domains: list[Pair]) -> Iterator[Pair]:
    """Questions of the domains by turns, drawn with replacement, for ever.

    Drawn, not cycled: live traffic repeats itself at random, and a reference of all-distinct
    questions would make the first repeats look like drift.
    """
    chance = random.Random(seed)  # noqa: S311  # not a secret
    for domain in itertools.cycle(domains):
        yield chance.choice(domain)
