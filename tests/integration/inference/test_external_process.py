"""The gateway as a process of its own, with everything but an external provider away."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import openai
import pytest

from infra.local.home import REPO
from protos.common.v1.common_pb2 import Provider
from services.inference.adapters.spool import Spool
from tests.ports import free_port
from tests.unit.services.inference.fakes import KEY, routing_event
from tests.unit.services.inference.provider import LocalProvider

READY_S = 60.0


def remember_routing(state: Path, server: LocalProvider) -> None:
    """As if the topic had been read by an earlier process."""
    event = routing_event()
    given = server.provider
    event.routes[0].release.engine.provider.CopyFrom(
        Provider(
            name=given.name,
            base_url=given.base_url,
            model=given.model,
            prompt_cost=2.0,
            max_tokens_parameter="max_completion_tokens",
            omit=["temperature", "seed"],
        )
    )
    (state / "routing").mkdir(parents=True)
    (state / "routing" / "support.routing").write_bytes(event.SerializeToString())


@asynccontextmanager
async def gateway(state: Path, http: int, rpc: int, ops: int) -> AsyncIterator[None]:
    (state / "models").mkdir()
    environment = {name: value for name, value in os.environ.items() if "PERENNIAL" not in name}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.inference",
        cwd=REPO,
        env=environment
        | {
            "PERENNIAL_HTTP__PORT": str(http),
            "PERENNIAL_RPC__PORT": str(rpc),
            "PERENNIAL_OPS__PORT": str(ops),
            "PERENNIAL_STATE_DIR": str(state),
            "PERENNIAL_KAFKA__BROKERS": "127.0.0.1:9",
            "PERENNIAL_S3__ENDPOINT": "127.0.0.1:9",
            "PERENNIAL_S3__ACCESS_KEY": "nobody",
            "PERENNIAL_S3__SECRET_KEY": "nobody-nobody-nobody",
            "PERENNIAL_TRITON__ADDRESS": "127.0.0.1:9",
            "PERENNIAL_TRITON__REPOSITORY_TOKEN": "nobody-nobody-nobody",
            "PERENNIAL_TRITON__MODEL_REPOSITORY": str(state / "models"),
            "PERENNIAL_PROVIDERS__KEYS__OUTSIDE": "sk-outside",
        },
    )
    try:
        await ready(f"http://127.0.0.1:{ops}/readyz", process)
        yield
    finally:
        process.kill()  # whatever it has answered must be on the disk by now
        await process.wait()


async def ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_S), httpx.AsyncClient() as client:
        while process.returncode is None:
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError(f"the gateway ended with {process.returncode}")


def client_of(port: int) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=f"{KEY}-support")


@pytest.mark.timeout(150)
async def test_a_gateway_answers_from_a_provider_while_all_else_is_away(tmp_path: Path) -> None:
    http, rpc, ops = (free_port() for _ in range(3))
    async with LocalProvider().open() as server:
        remember_routing(tmp_path, server)
        async with gateway(tmp_path, http, rpc, ops), client_of(http) as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="support", messages=[{"role": "user", "content": "Where is my card?"}]
            )

    assert raw.parse().choices[0].message.content == "Hello from outside"
    assert raw.headers["x-perennial-provider"] == "outside"
    assert "bearer sk-outside" in server.keys
    said = {name for asked in server.requests for name in asked}
    assert said & {"max_tokens", "max_completion_tokens", "temperature", "seed", "top_p"} == {
        "max_completion_tokens",
        "top_p",
    }
    kept, _ = Spool(tmp_path / "spool", 1024 * 1024).read(10)
    assert {entry.topic for entry in kept} == {
        "inference.engine-loaded.v1",
        "inference.generation-served.v1",
    }
