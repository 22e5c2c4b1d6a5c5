"""What the doorkeeper counts of a call."""

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from libs.rpc.server import Doorkeeper


class Context:
    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


async def test_a_call_that_its_caller_left_is_counted_as_cancelled() -> None:
    async def left(request: object, context: object) -> None:
        raise asyncio.CancelledError

    async def handlers(details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(left)

    details: Any = SimpleNamespace(method="/some.Door/Leave")
    door = await Doorkeeper(None).intercept_service(handlers, details)
    with pytest.raises(asyncio.CancelledError):
        await door.unary_unary(None, Context())

    counted = {"method": "some.Door/Leave", "code": "CANCELLED"}
    assert REGISTRY.get_sample_value("perennial_rpc_seconds_count", counted) == 1.0
