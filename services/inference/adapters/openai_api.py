"""External providers that speak OpenAI's chat completions."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import structlog

from libs.faults import Poison
from libs.http.client import Address, Client, lines
from libs.http.exchange import BrokeOff, Connection
from services.inference.adapters import sse
from services.inference.adapters.keys import Keys
from services.inference.domain.generation import Delta, Finish, Message, Sampling
from services.inference.domain.release import Provider
from services.inference.ports import EngineFailed
from services.inference.wire import completions

log = structlog.get_logger()

READ_OUT_S: Final = 0.05
"""A provider that does not end its body loses its connection, and delays the end by that."""
MAX_ERROR_BYTES: Final = 16 * 1024
REFUSALS: Final = frozenset({400, 413, 422})
"""Of this very request; any other failure may be the provider's own."""


def client() -> Client:
    """One for all providers, made inside the event loop."""
    return Client(
        {
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "perennial",
        }
    )


@lru_cache(256)
def _address(base_url: str) -> Address:
    return Address.of(f"{base_url}/chat/completions")


@lru_cache(256)
def _authorization(key: str) -> bytes:
    return lines({"authorization": f"Bearer {key}"}) if key else b""


@dataclass(frozen=True, slots=True)
class OpenAiProviders:
    """Every answer is asked for as a stream: so the first token is seen, and a hang."""

    http: Client
    keys: Keys

    def why_not(self, provider: Provider) -> str | None:
        return self.keys.why_not(provider)

    async def generate(
        self,
        provider: Provider,
        messages: Sequence[Message],
        sampling: Sampling,
        timeout_s: float,
    ) -> AsyncGenerator[Delta | Finish, None]:
        if (reason := self.why_not(provider)) is not None:
            raise EngineFailed(reason, code="engine_down")
        try:
            address, key = _address(provider.base_url), self.keys.of(provider)
            authorization = _authorization(key or "")
        except ValueError as error:
            raise _away(provider, error) from error
        body = completions.request(provider, messages, sampling)
        ends_s = asyncio.get_running_loop().time() + timeout_s
        try:
            answer = await self.http.post(address, authorization, body, ends_s)
            try:
                async with aclosing(_pieces(provider, answer)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:
                self.http.release(address, answer)
        except TimeoutError:
            raise EngineFailed("the answer took too long", code="deadline") from None
        except OSError as error:
            raise _away(provider, error) from error


async def _pieces(provider: Provider, answer: Connection) -> AsyncGenerator[Delta | Finish, None]:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise EngineFailed("the provider packs what nobody asked for", code="engine_error")
    if answer.status != 200:
        raise await _refusal(provider, answer)
    reading = completions.Reading()
    if "json" in answer.headers.get("content-type", ""):  # it does not stream
        raw = b"".join([chunk async for chunk in sse.Chunks(answer)])
        for piece in reading.whole(raw):
            yield piece
        return
    async with aclosing(sse.data(answer)) as values:
        async for value in values:
            if value == b"[DONE]":
                await _read_out(answer)
                break
            if (delta := reading.chunk(value)) is not None:
                yield delta
    yield reading.finish()


async def _read_out(answer: Connection) -> None:
    """To the body's end, which is there already: only then is the connection used again."""
    if answer.whole:
        return
    with suppress(TimeoutError, OSError, EngineFailed):
        async with asyncio.timeout(READ_OUT_S):
            async for _ in sse.Chunks(answer, MAX_ERROR_BYTES):
                pass


async def _refusal(provider: Provider, answer: Connection) -> Exception:
    """What a status other than 200 means. The provider's own words stay in our log."""
    said = b""
    with suppress(EngineFailed, BrokeOff):
        async for chunk in sse.Chunks(answer, MAX_ERROR_BYTES):
            said += chunk
    status = answer.status
    words = said[:500].decode(errors="replace")
    log.warning("provider.refused", provider=provider.name, status=status, said=words)
    if status in REFUSALS:
        return Poison(f"{provider.name} refuses the request", code="refused_by_engine")
    if status == 429:
        after_s = completions.retry_after_s(answer.headers.get("retry-after"))
        return EngineFailed(
            f"{provider.name} takes no more requests now", code="engine_busy", after_s=after_s
        )
    return EngineFailed(f"{provider.name} answers {status}", code="engine_down")


def _away(provider: Provider, error: Exception) -> EngineFailed:
    log.warning("provider.away", provider=provider.name, error=repr(error)[:500])
    if isinstance(error, BrokeOff):
        return EngineFailed(f"{provider.name} broke off", code="engine_error")
    return EngineFailed(f"{provider.name} is away", code="engine_down")
