from collections.abc import AsyncIterator

import httpx
import openai
import pytest

from tests.unit.services.inference.doors import Doors
from tests.unit.services.inference.fakes import KEY


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    async with Doors().open() as opened:
        yield opened


@pytest.fixture
async def client(doors: Doors) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=doors.url, api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture
async def plain(doors: Doors) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=doors.url, headers=headers) as made:
        yield made
