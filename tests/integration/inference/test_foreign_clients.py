"""Other people's clients, in an environment of their own: `make clients` makes it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.home import REPO
from tests.unit.services.inference.doors import Doors
from tests.unit.services.inference.fakes import KEY, answer_of

PYTHON = REPO / ".venv-clients" / "bin" / "python"
HERE = Path(__file__).parent
MOST_S = 90.0

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="there is no .venv-clients: `make clients` makes it"
)


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    async with Doors().open() as opened:
        yield opened


async def run(script: str, doors: Doors) -> Any:
    process = await asyncio.create_subprocess_exec(
        *(PYTHON, HERE / script, doors.url, KEY),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(process.communicate(), MOST_S)
    assert process.returncode == 0, error.decode()[-2000:]
    return json.loads(out)


async def test_langchain_chats_streams_parses_completes_and_embeds(doors: Doors) -> None:
    told = await run("langchain_client.py", doors)

    assert told == {
        "answer": answer_of(),
        "tokens": 12,
        "stream": answer_of(),
        "parsed": {"card": "lost"},
        "completion": answer_of(),
        "embedding": [7.0, 0.5, -1.0],
    }


async def test_llama_index_chats_streams_and_completes(doors: Doors) -> None:
    told = await run("llama_index_client.py", doors)

    assert told == dict.fromkeys(
        ("answer", "stream", "completion", "completion_stream"), answer_of()
    )
