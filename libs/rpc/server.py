"""The gRPC server as a Part: health, reflection, faults, tokens, metrics and drain, given once."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from libs.faults import Poison, Retryable
from libs.rpc import auth
from libs.rpc.status import code_for, rich
from libs.runtime import metrics, tracing
from libs.runtime.config import DoorSettings

log = structlog.get_logger()

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Decoded before the caller's key is looked at: four times that of maps stops all for seconds."""
DRAIN_S: Final = 10.0
ACCEPT_S: Final = 120
"""A call of a burst that is not accepted yet waits on: gRPC's own 30 s would end it as CANCELLED,
which callers take for their own doing. Their deadlines still hold."""
OPEN_SERVICES: Final = ("grpc.health.", "grpc.reflection.")


class RpcServer:
    """Serves what ``register`` adds. With ``operator_token`` every call must carry it; other
    processes may listen at a ``shared`` port."""

    def __init__(
        self,
        settings: DoorSettings,
        register: Callable[[grpc.aio.Server], None],
        services: Sequence[str],
        operator_token: str | None = None,
        *,
        shared: bool = False,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self.name = "rpc"
        self._max_message_bytes = max_message_bytes
        self._shared = shared
        self._settings = settings
        self._register = register
        self._services = services
        self._token = operator_token
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        server = grpc.aio.server(
            interceptors=[Doorkeeper(self._token)],
            options=[
                ("grpc.max_receive_message_length", self._max_message_bytes),
                ("grpc.so_reuseport", int(self._shared)),
                ("grpc.server_max_unrequested_time_in_server", ACCEPT_S),
            ],
        )
        self._register(server)
        checks = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        for name in ("", *self._services):
            await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
        reflection.enable_server_reflection(
            [*self._services, reflection.SERVICE_NAME, health.SERVICE_NAME], server
        )
        address = f"{self._settings.host}:{self._settings.port}"
        server.add_insecure_port(address)
        await server.start()
        self._server = server
        log.info("rpc.listening", address=address)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self._server.stop(DRAIN_S)

    async def serve(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def unready(self) -> str | None:
        return None if self._server is not None else "not listening"


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Checks the token, binds the trace, maps faults, measures: around every handler."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method.lstrip("/")
        if handler is None or method.startswith(OPEN_SERVICES):
            return handler
        if handler.response_streaming:
            return _streaming(handler, self._wrap_stream(handler, method))
        return _unary(handler, self._wrap_unary(handler, method))

    def _wrap_unary(self, handler: Any, method: str) -> Callable[[Any, Any], Awaitable[Any]]:
        inner = handler.unary_unary or handler.stream_unary

        async def call(request: Any, context: Any) -> Any:
            async with _entered(self._token, method, context):
                return await inner(request, context)

        return call

    def _wrap_stream(self, handler: Any, method: str) -> Callable[[Any, Any], AsyncIterator[Any]]:
        inner = handler.unary_stream or handler.stream_stream

        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            async with _entered(self._token, method, context):
                async for answer in inner(request, context):
                    yield answer

        return call


@asynccontextmanager
async def _entered(token: str | None, method: str, context: Any) -> AsyncIterator[None]:
    """One RPC: entered with the caller's token and trace, left with a status."""
    started = time.perf_counter()
    metadata = context.invocation_metadata() or ()
    code = "OK"
    try:
        with tracing.tracer.start_as_current_span(method, context=tracing.incoming(metadata)):
            if token is not None:
                auth.require(auth.bearer(metadata), token)
            yield
    except asyncio.CancelledError:
        code = grpc.StatusCode.CANCELLED.name
        raise
    except Exception as error:
        code = code_for(error).name
        if not isinstance(error, Poison | Retryable | TimeoutError):
            log.error("rpc.failed", method=method, exc_info=error)
        await context.abort_with_status(rich(error))
    finally:
        metrics.RPC_SECONDS.labels(method, code).observe(time.perf_counter() - started)


def _unary(handler: Any, call: Any) -> Any:
    make = (
        grpc.stream_unary_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return make(call, handler.request_deserializer, handler.response_serializer)


def _streaming(handler: Any, call: Any) -> Any:
    make = (
        grpc.stream_stream_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_stream_rpc_method_handler
    )
    return make(call, handler.request_deserializer, handler.response_serializer)
