"""The gateways: ours and its peers, each before the same mock upstream, with its key check on
where it has one."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from infra.local.home import REPO
from protos.common.v1.common_pb2 import Decoding, Engine, Provider
from protos.registry.v1.registry_events_pb2 import ROLE_CHAMPION, Release, Route, RoutingTable
from tests.bench.serving.processes import BENCH, SERVER_CORE, ask, free_port, listening, running

KEY: Final = "sk-bench-0123456789abcdef"
APPLICATION: Final = "bench"
UV: Final = REPO / ".build" / "uv" / "bin" / "uv"
READY_S: Final = 90.0
SECRET: Final = "0123456789abcdef0123"
QUESTION: Final = [{"role": "user", "content": "When does my new card arrive?"}]


class Missing(Exception):
    """A peer cannot run here; the message is its own."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """One that listens, and how it is asked."""

    name: str
    port: int
    path: str
    headers: Mapping[str, str]
    body: str
    pid: int
    rpc_port: int = 0

    @property
    def rpc_address(self) -> str:
        return f"127.0.0.1:{self.rpc_port}"


def chat(model: str) -> str:
    return json.dumps({"model": model, "messages": QUESTION, "max_tokens": 32, "temperature": 0})


def upstream_command(port: int) -> Sequence[str]:
    return (sys.executable, "-m", "tests.bench.serving.upstream", str(port))


def routing_table(engine: Engine) -> RoutingTable:
    release = Release(
        digest="be" * 32,
        application=APPLICATION,
        engine=engine,
        decoding=Decoding(max_tokens=64, temperature=0.0),
    )
    table = RoutingTable(
        application=APPLICATION,
        version=1,
        key_sha256=[hashlib.sha256(KEY.encode()).hexdigest()],
        salt="bench",
        routes=[Route(release=release, role=ROLE_CHAMPION, share=1.0)],
    )
    table.serving.admission.concurrency = 256
    return table


@contextmanager
def perennial(
    work: Path,
    table: RoutingTable,
    more: Mapping[str, str],
    core: str = SERVER_CORE,
    module: str = "services.inference",
) -> Iterator[Gateway]:
    """Our gateway by its own command, routing from its cache on disk. Without ``more``, Kafka
    and the object store are away, and events wait in the spool."""
    routing = work / "state" / "routing"
    routing.mkdir(parents=True, exist_ok=True)
    (routing / f"{APPLICATION}.routing").write_bytes(table.SerializeToString())
    http, rpc, ops, nobody = (free_port() for _ in range(4))
    settings = {
        "OPS__PORT": str(ops),
        "HTTP__PORT": str(http),
        "RPC__PORT": str(rpc),
        "LOG_LEVEL": "warning",
        "STATE_DIR": str(work / "state"),
        "KAFKA__BROKERS": f"127.0.0.1:{nobody}",
        "S3__ENDPOINT": f"127.0.0.1:{nobody}",
        "S3__ACCESS_KEY": SECRET,
        "S3__SECRET_KEY": SECRET,
        "TRITON__ADDRESS": f"127.0.0.1:{nobody}",
        "TRITON__REPOSITORY_TOKEN": SECRET,
        "TRITON__MODEL_REPOSITORY": str(work / "models"),
        "PROVIDERS__KEYS__MOCK": "upstream",
        "MAX_REQUESTS": "256",
        **more,
    }
    environment = {f"PERENNIAL_{name}": value for name, value in settings.items()}
    command = (sys.executable, "-m", module)
    with running(command, core, environment, work / "perennial.log") as process:
        headers = {"authorization": f"Bearer {KEY}"}
        path = "/v1/chat/completions"
        yield _ready(
            Gateway("perennial", http, path, headers, chat(APPLICATION), process.pid, rpc),
            process,
            work / "perennial.log",
        )


def provided(upstream: int) -> RoutingTable:
    return routing_table(
        Engine(
            digest="ab" * 32,
            provider=Provider(
                name="mock", base_url=f"http://127.0.0.1:{upstream}/v1", model="mock"
            ),
        )
    )


@contextmanager
def litellm(work: Path, upstream: int) -> Iterator[Gateway]:
    python = _environment("litellm", ["litellm[proxy]==1.106.2"], work)
    config = work / "litellm.yaml"
    config.write_text(
        "model_list:\n- model_name: mock\n  litellm_params:\n    model: openai/mock\n"
        f"    api_base: http://127.0.0.1:{upstream}/v1\n    api_key: upstream\n"
        f"general_settings:\n  master_key: {KEY}\nlitellm_settings:\n  telemetry: false\n"
    )
    port = free_port()
    command = (
        str(python.parent / "litellm"),
        *("--config", str(config), "--port", str(port), "--host", "127.0.0.1"),
        *("--num_workers", "1"),
    )
    environment = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no download
    }
    with running(command, SERVER_CORE, environment, work / "litellm.log") as process:
        headers = {"authorization": f"Bearer {KEY}"}
        yield _ready(
            Gateway("litellm", port, "/v1/chat/completions", headers, chat("mock"), process.pid),
            process,
            work / "litellm.log",
        )


@contextmanager
def portkey(work: Path, upstream: int) -> Iterator[Gateway]:
    """It checks no key of its own: the caller's goes upstream."""
    home = BENCH / "portkey"
    script = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    wanted = "@portkey-ai/gateway@1.15.2"
    if not script.exists():
        _made(["npm", "install", "--silent", "--prefix", str(home), wanted], work)
    port = free_port()
    command = ("node", str(script), f"--port={port}", "--headless")
    environment = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    with running(command, SERVER_CORE, environment, work / "portkey.log") as process:
        headers = {
            "authorization": f"Bearer {KEY}",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
        }
        yield _ready(
            Gateway("portkey", port, "/v1/chat/completions", headers, chat("mock"), process.pid),
            process,
            work / "portkey.log",
        )


@contextmanager
def tensorzero(work: Path, upstream: int) -> Iterator[Gateway]:
    """Its keys live in PostgreSQL, so it runs without; it keeps no event either."""
    python = _environment("tensorzero", ["tensorzero==2026.6.0"], work)
    config = work / "tensorzero.toml"
    config.write_text(
        "[gateway]\nobservability.enabled = false\n"
        '[models.mock]\nrouting = ["mock"]\n[models.mock.providers.mock]\ntype = "openai"\n'
        f'model_name = "mock"\napi_base = "http://127.0.0.1:{upstream}/v1/"\n'
        'api_key_location = "env::UPSTREAM_KEY"\n'
    )
    told = work / "tensorzero.port"
    told.unlink(missing_ok=True)
    code = (
        "import sys, threading, tensorzero\n"
        "g = tensorzero._start_http_gateway(config_file=sys.argv[1], clickhouse_url=None,"
        " postgres_url=None, valkey_url=None, async_setup=False)\n"
        "open(sys.argv[2], 'w').write(g.base_url)\nthreading.Event().wait()\n"
    )
    command = (str(python), "-c", code, str(config), str(told))
    environment = {
        "UPSTREAM_KEY": "upstream",
        "TENSORZERO_DISABLE_PSEUDONYMOUS_USAGE_ANALYTICS": "1",
    }
    with running(command, SERVER_CORE, environment, work / "tensorzero.log") as process:
        end = time.monotonic() + READY_S
        while not (told.exists() and told.read_text()) and time.monotonic() < end:
            if process.poll() is not None:
                break
            time.sleep(0.2)
        if not told.exists():
            raise Missing(_tail(work / "tensorzero.log"))
        address = urlsplit(told.read_text())
        port, path = address.port or 0, f"{address.path.rstrip('/')}/chat/completions"
        body = chat("tensorzero::model_name::mock")
        yield _ready(
            Gateway("tensorzero", port, path, {}, body, process.pid),
            process,
            work / "tensorzero.log",
        )


@contextmanager
def libraries(work: Path, upstream: int) -> Iterator[Gateway]:
    """What ours is built on, alone: neither key nor application, neither stream nor event."""
    port = free_port()
    command = (sys.executable, "-m", "tests.bench.serving.passing", str(port), str(upstream))
    with running(command, SERVER_CORE, {}, work / "libraries.log") as process:
        yield _ready(
            Gateway("libraries", port, "/v1/chat/completions", {}, chat("mock"), process.pid),
            process,
            work / "libraries.log",
        )


PEERS: Final[Mapping[str, Callable[..., object]]] = {
    "litellm": litellm,
    "portkey": portkey,
    "tensorzero": tensorzero,
    "libraries": libraries,
}
VERSIONS: Final = {"litellm": "1.106.2", "portkey": "1.15.2", "tensorzero": "2026.6.0"}


def _ready(gateway: Gateway, process: "subprocess.Popen[bytes]", log: Path) -> Gateway:
    if not listening(gateway.port, process, READY_S):
        raise Missing(f"does not listen: {_tail(log)}")
    status, body = 0, ""
    for _ in range(50):
        status, body = ask(gateway.port, gateway.path, gateway.headers, gateway.body)
        if status == 200:
            return gateway
        time.sleep(0.2)
    raise Missing(f"answers {status}: {body[:300]} {_tail(log)}")


def _environment(name: str, packages: Sequence[str], work: Path) -> Path:
    """An environment of the peer's own, made once; its interpreter."""
    python = BENCH / name / "bin" / "python"
    stamp = BENCH / name / "packages"
    if not stamp.exists() or stamp.read_text() != " ".join(packages):
        uv = str(UV) if UV.exists() else "uv"
        _made(
            [uv, "venv", "-q", "--allow-existing", "--python", sys.executable, str(BENCH / name)],
            work,
        )
        _made([uv, "pip", "install", "-q", "--python", str(python), *packages], work)
        stamp.write_text(" ".join(packages))
    return python


def _made(command: Sequence[str], work: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=work, timeout=600)
    if done.returncode:
        raise Missing(f"{' '.join(command[:3])}: {done.stderr.strip()[-300:]}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-400:] if log.exists() else ""
