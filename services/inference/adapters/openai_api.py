"""External providers that speak OpenAI's chat completions."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import aiohttp
import structlog
from yarl import URL

from libs.faults import Poison
from services.inference.adapters import sse
from services.inference.adapters.keys import Keys
from services.inference.domain.generation import Delta, Finish, Message, Sampling
from services.inference.domain.release import Provider
from services.inference.ports import REFUSED_BY_ENGINE, ContextExceeded, EngineFailed
from services.inference.wire import completions

log = structlog.get_logger()

CONNECTING: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
"""An answer's own time is measured around each wait for it."""
MAX_CONNECTIONS: Final = 256
KEEP_S: Final = 30.0
READ_OUT_S: Final = 0.05
READ_OUT_CHUNKS: Final = 8
"""A provider that does not end its body loses its connection, and delays the end by that."""
MAX_ERROR_BYTES: Final = 16 * 1024
REFUSALS: Final = frozenset({400, 413, 422})
"""Of this very request; any other failure may be the provider's own."""
BEYOND: Final = (b"context_length_exceeded", b"maximum context length")
"""In a refusal of a prompt that is too long: OpenAI's code, and the words of those without one."""
BROKE_OFF: Final = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
)


def client() -> aiohttp.ClientSession:
    """One for all providers, made inside the event loop. It unpacks nothing, keeps no cookies
    and reads no proxies or keys from files."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_S, ssl=ssl.create_default_context()
        ),
        headers={
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "perennial",
        },
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


@lru_cache(256)
def _address(base_url: str) -> URL:
    return URL(f"{base_url}/chat/completions")


@dataclass(frozen=True, slots=True)
class OpenAiProviders:
    """Every answer is asked for as a stream: so the first token is seen, and a hang."""

    http: aiohttp.ClientSession
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
        bounds = sse.Bounds(asyncio.get_running_loop().time() + timeout_s)
        body = completions.request(provider, messages, sampling)
        response = await self._send(provider, body, timeout_s)
        try:
            async with aclosing(_pieces(provider, response, bounds)) as pieces:
                async for piece in pieces:
                    yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise _away(provider, error) from error
        finally:
            response.close()  # the connection of a body that was read to its end is kept already

    async def _send(
        self, provider: Provider, body: bytes, timeout_s: float
    ) -> aiohttp.ClientResponse:
        key = self.keys.of(provider)
        try:
            async with asyncio.timeout(timeout_s):
                return await self.http.post(
                    _address(provider.base_url),
                    data=body,
                    headers={"authorization": f"Bearer {key}"} if key else None,
                    allow_redirects=False,
                    timeout=CONNECTING,
                )
        except (aiohttp.ClientError, ValueError) as error:
            raise _away(provider, error) from error
        except TimeoutError:
            raise EngineFailed("the answer took too long", code="deadline") from None
        except OSError as error:
            raise _away(provider, error) from error


async def _pieces(
    provider: Provider, response: aiohttp.ClientResponse, bounds: sse.Bounds
) -> AsyncGenerator[Delta | Finish, None]:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise EngineFailed("the provider packs what nobody asked for", code="engine_error")
    source = aiter(response.content.iter_any())
    if response.status != 200:
        raise await _refusal(provider, response, bounds)
    reading = completions.Reading()
    if "json" in response.headers.get("content-type", ""):  # it does not stream
        raw = b"".join([chunk async for chunk in sse.Chunks(source, bounds)])
        for piece in reading.whole(raw):
            yield piece
        return
    async for values in sse.Data(sse.Chunks(source, bounds)):
        for value in values:
            if value == b"[DONE]":
                if not response.content.is_eof():
                    await _read_out(source)
                yield reading.finish()
                return
            if (delta := reading.chunk(value)) is not None:
                yield delta
    yield reading.finish()


async def _read_out(source: AsyncIterator[bytes]) -> None:
    """To the body's end, which is there already: only then is the connection used again."""
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(READ_OUT_S):
            for _ in range(READ_OUT_CHUNKS):
                if await anext(source, None) is None:
                    return


async def _refusal(
    provider: Provider, response: aiohttp.ClientResponse, bounds: sse.Bounds
) -> Exception:
    """What a status other than 200 means. The provider's own words stay in our log."""
    bounds = sse.Bounds(bounds.ends_s, whole_bytes=MAX_ERROR_BYTES)
    said = b""
    with suppress(EngineFailed, aiohttp.ClientError):
        async for chunk in sse.Chunks(aiter(response.content.iter_any()), bounds):
            said += chunk
    status = response.status
    words = said[:500].decode(errors="replace")
    log.warning("provider.refused", provider=provider.name, status=status, said=words)
    if status in REFUSALS:
        if any(mark in said for mark in BEYOND):
            return ContextExceeded(f"the prompt is longer than the context of {provider.name}")
        return Poison(f"{provider.name} refuses the request", code=REFUSED_BY_ENGINE)
    if status == 429:
        after_s = completions.retry_after_s(response.headers.get("retry-after"))
        return EngineFailed(
            f"{provider.name} takes no more requests now", code="engine_busy", after_s=after_s
        )
    return EngineFailed(f"{provider.name} answers {status}", code="engine_down")


def _away(provider: Provider, error: Exception) -> EngineFailed:
    log.warning("provider.away", provider=provider.name, error=repr(error)[:500])
    if isinstance(error, BROKE_OFF):
        return EngineFailed(f"{provider.name} broke off", code="engine_error")
    return EngineFailed(f"{provider.name} is away", code="engine_down")
