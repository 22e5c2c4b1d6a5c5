"""External providers that speak OpenAI's chat completions."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from libs.faults import Poison
from libs.http.client import Answer, Bounds, Broken, Client, TooLarge
from services.inference.adapters import sse
from services.inference.adapters.keys import Keys
from services.inference.domain.generation import Delta, Finish, Message, Sampling
from services.inference.domain.release import Provider
from services.inference.ports import EngineFailed
from services.inference.wire import completions

log = structlog.get_logger()

MAX_BYTES: Final = 8 * 1024 * 1024
"""Of one answer, as it comes over the wire."""
LINGER_S: Final = 0.05
"""A provider whose body does not end with its last event loses its connection."""
MAX_ERROR_BYTES: Final = 16 * 1024
REFUSALS: Final = frozenset({400, 413, 422})
"""Of this very request; any other failure may be the provider's own."""
HEADERS: Final = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": "perennial",
}
DONE: Final = b"[DONE]"


def client() -> Client:
    """One for all providers. As many connections as answers that were admitted."""
    return Client()


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
        bounds = Bounds(asyncio.get_running_loop().time() + timeout_s, MAX_BYTES)
        body = completions.request(provider.model, messages, sampling)
        answer, done = None, False
        try:
            answer = await self._asked(provider, body, bounds)
            if answer.status != 200:
                raise await _refusal(provider, answer)
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise EngineFailed("the provider packs what nobody asked for", code="engine_error")
            reading = completions.Reading()
            if "json" in answer.headers.get("content-type", ""):  # it does not stream
                for piece in reading.whole(await _all(answer, MAX_BYTES)):
                    yield piece
                return
            data = sse.Data()
            while not done:
                chunk = await answer.chunk()
                for value in data.feed(chunk) if chunk else data.end():
                    if done := value == DONE:
                        break
                    if (delta := reading.chunk(value)) is not None:
                        yield delta
                done = done or not chunk
            yield reading.finish()
        except TimeoutError:
            raise EngineFailed("the answer took too long", code="deadline") from None
        except TooLarge:
            raise EngineFailed("the provider's answer is too large", code="engine_error") from None
        except (Broken, OSError) as error:
            raise _away(provider, error) from error
        finally:
            if answer is not None:
                answer.close(LINGER_S if done else 0.0)

    async def _asked(self, provider: Provider, body: bytes, bounds: Bounds) -> Answer:
        key = self.keys.of(provider)
        headers = {**HEADERS, "authorization": f"Bearer {key}"} if key else HEADERS
        url = f"{provider.base_url}/chat/completions"
        try:
            return await self.http.post(url, headers, body, bounds)
        except ValueError as error:  # the address, or the key, cannot be sent
            raise _away(provider, error) from error


async def _all(answer: Answer, most: int) -> bytes:
    """To its end, or until there are ``most`` bytes."""
    found = b""
    while len(found) < most and (chunk := await answer.chunk()):
        found += chunk
    return found


async def _refusal(provider: Provider, answer: Answer) -> Exception:
    """What a status other than 200 means. The provider's own words stay in our log."""
    status, said = answer.status, b""
    with suppress(TimeoutError, Broken, TooLarge, OSError):  # the status says enough
        said = await _all(answer, MAX_ERROR_BYTES)
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
    if isinstance(error, Broken):
        return EngineFailed(f"{provider.name} broke off", code="engine_error")
    return EngineFailed(f"{provider.name} is away", code="engine_down")
