"""Both doors on real local sockets, over a fake engine."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from libs.http.server import HttpServer
from libs.rpc.server import RpcServer
from libs.runtime.clock import SystemClock
from libs.runtime.config import DoorSettings
from services.inference.domain.admission import Admission
from services.inference.domain.cache import Cache
from services.inference.domain.loaded import LoadedEngines
from services.inference.handlers.admit import Admit
from services.inference.handlers.answer import Answer
from services.inference.handlers.embed import Embed
from services.inference.handlers.external import External
from services.inference.handlers.runner import Runner
from services.inference.http import OpenAiHttp, problems
from services.inference.ports import Journal
from services.inference.rpc import SERVICE, InferenceRpc
from tests.ports import free_port
from tests.unit.services.inference.fakes import (
    CHAMPION,
    FakeEmbedder,
    FakeGenerator,
    MemoryJournal,
    MemoryRouting,
    table,
)

MESSAGES: list[Any] = [{"role": "user", "content": "Where is my card?"}]


@dataclass
class Doors:
    generator: FakeGenerator = field(
        default_factory=lambda: FakeGenerator({CHAMPION.engine.digest})
    )
    routing: MemoryRouting = field(default_factory=lambda: MemoryRouting([table()]))
    loaded: LoadedEngines = field(default_factory=LoadedEngines)
    events: MemoryJournal = field(default_factory=MemoryJournal)
    journal: Journal | None = None
    admission: Admission = field(default_factory=lambda: Admission(4))
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    external: External | None = None
    cache: Cache | None = None
    connections: int = 100
    http_port: int = field(default_factory=free_port)
    rpc_port: int = field(default_factory=free_port)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Doors"]:
        self.loaded.mark(CHAMPION.engine.digest, ready=True)
        journal = self.journal or self.events
        runner = Runner(
            generator=self.generator,
            loaded=self.loaded,
            journal=journal,
            clock=SystemClock(),
            on_engine_down=lambda _: None,
            external=self.external,
            cache=self.cache,
        )
        admit = Admit(self.admission, SystemClock())
        answer = Answer(runner, admit, lambda *_: None, 30.0)
        embed = Embed(self.embedder, admit)
        rpc = InferenceRpc(self.routing, answer, embed)
        app = OpenAiHttp(self.routing, answer, embed).app()
        async with AsyncExitStack() as stack:
            door = DoorSettings(port=self.rpc_port)
            await stack.enter_async_context(RpcServer(door, rpc.register, [SERVICE]))
            http = HttpServer(
                DoorSettings(port=self.http_port), app, 1, tell=problems.tell, most=self.connections
            )
            await stack.enter_async_context(http)
            yield self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/v1"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.rpc_port}"
