"""Channels that carry the caller's secret and trace."""

from collections.abc import Sequence
from typing import Any, Final

import grpc

from libs.runtime import tracing

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
OPTIONS: Final = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_retries", 1),
]


def metadata(secret: str) -> Sequence[tuple[str, str]]:
    """What every call sends: ``authorization`` and the trace context."""
    return (("authorization", f"Bearer {secret}"), *tracing.outgoing())


class _Secret(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
):
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def _with_secret(self, call: Any, details: Any, request: Any) -> Any:
        pairs = (*(details.metadata or ()), *metadata(self._secret))
        return call(details._replace(metadata=pairs), request)

    intercept_unary_unary = _with_secret  # type: ignore[assignment]
    intercept_unary_stream = _with_secret  # type: ignore[assignment]
    intercept_stream_unary = _with_secret  # type: ignore[assignment]


def sync_channel(address: str, secret: str) -> grpc.Channel:
    """A blocking channel; give each call a timeout."""
    plain = grpc.insecure_channel(address, options=OPTIONS)
    return grpc.intercept_channel(plain, _Secret(secret))


class _AioUnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def intercept_unary_unary(self, call: Any, details: Any, request: Any) -> Any:
        return await call(_with_metadata(details, self._secret), request)


class _AioUnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def intercept_unary_stream(self, call: Any, details: Any, request: Any) -> Any:
        return await call(_with_metadata(details, self._secret), request)


class _AioStreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def intercept_stream_unary(self, call: Any, details: Any, requests: Any) -> Any:
        return await call(_with_metadata(details, self._secret), requests)


def _with_metadata(details: Any, secret: str) -> Any:
    pairs = grpc.aio.Metadata(*(details.metadata or ()), *metadata(secret))
    return details._replace(metadata=pairs)


def channel(address: str, secret: str) -> grpc.aio.Channel:
    """An asyncio channel; give each call a timeout."""
    interceptors = [_AioUnaryUnary(secret), _AioUnaryStream(secret), _AioStreamUnary(secret)]
    return grpc.aio.insecure_channel(address, options=OPTIONS, interceptors=interceptors)
