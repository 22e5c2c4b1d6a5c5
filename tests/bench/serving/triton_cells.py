"""The gateway before a real Triton with the CPU engine, beside going there directly."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Any, Final

from tritonclient.grpc import InferenceServerClient

from infra.local.home import REPO, Home, credentials
from infra.local.ports import Ports
from infra.local.triton import REPOSITORY_HEADER, VENV, is_installed, models
from infra.local.triton import triton as triton_process
from protos.common.v1.common_pb2 import Engine
from tests.bench.serving.figures import Result, alone, compared, impossible
from tests.bench.serving.gateways import KEY, Gateway, perennial, routing_table
from tests.bench.serving.numbered import TEXT
from tests.bench.serving.processes import (
    CLIENT_CORE,
    SERVER_CORE,
    free_port,
    listening,
    running,
    told_by,
)

DIGEST: Final = "cafe" * 16
MODEL: Final = f"llm-{DIGEST[:16]}"
BASE: Final = REPO / ".build" / "base-model"
STREAMS: Final = (1, 4, 8, 16)
MAX_TOKENS: Final = 24
MANY: Final = 200
ENGINE: Final = Engine(digest=DIGEST, chat_template="{{ messages[0].content }}")


def before_triton(work: Path, rounds: int, seconds: float) -> list[Result]:
    if not is_installed() or not (BASE / "model.safetensors").exists():
        return [impossible("triton: tokens/s", ">= 0.9", "no Triton or no base model: make setup")]
    with triton(work) as address:
        more = {"TRITON__ADDRESS": address}
        with perennial(work, routing_table(ENGINE), more, core=CLIENT_CORE) as gateway:
            found = _rounds(address, gateway, rounds, seconds)
    return [each for number in STREAMS for each in _told(number, found[number])]


def frames(work: Path, rounds: int, seconds: float) -> list[Result]:
    """200 streams at once over an engine that counts: every frame, in order."""
    port, wrong, failed = free_port(), [], []
    command = (sys.executable, "-m", "tests.bench.serving.numbered", str(port))
    with running(command, CLIENT_CORE, {}, work / "numbered.log") as process:
        listening(port, process, 20)
        more = {"TRITON__ADDRESS": f"127.0.0.1:{port}"}
        with perennial(work, routing_table(ENGINE), more) as gateway:
            for _ in range(rounds):
                told = _streams("gateway", _rpc(gateway), MANY, 0, TEXT, 64)
                wrong.append(float(told["wrong"]))
                failed.append(float(told["failed"]))
                print(f"  {MANY} streams: {told}", flush=True)
    return [
        alone("frames: wrong answers of 200 streams", [max(wrong)], "answers", "<= 0"),
        alone("frames: failed answers of 200 streams", [max(failed)], "answers", "<= 0"),
    ]


def _rounds(
    address: str, gateway: Gateway, rounds: int, seconds: float
) -> dict[int, dict[str, list[dict[str, Any]]]]:
    found: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for number in STREAMS:
        found[number] = {"direct": [], "gateway": []}
        _streams("direct", address, number, 1.0)
        for _ in range(rounds):
            for kind, where in (("direct", address), ("gateway", _rpc(gateway))):
                told = _streams(kind, where, number, seconds)
                found[number][kind].append(told)
                print(f"  {number:3} streams, {kind:8} {_line(told)}", flush=True)
    return found


def _told(number: int, found: Mapping[str, list[dict[str, Any]]]) -> list[Result]:
    ours, theirs = found["gateway"], found["direct"]
    failed = sum(each["failed"] for each in ours)
    note = f"{failed} failed: {next(e['failure'] for e in ours if e['failed'])}" if failed else ""
    return [
        compared(
            f"triton: tokens/s, {number} streams",
            [each["rate"] for each in ours],
            [each["rate"] for each in theirs],
            "1/s",
            ">= 0.9",
            note,
        ),
        compared(
            f"triton: first token p99, {number} streams",
            [each["first_p99_s"] for each in ours],
            [each["first_p99_s"] for each in theirs],
            "s",
            "<= 1.15",
            note,
        ),
    ]


def _line(told: Mapping[str, Any]) -> str:
    first = f"first p50 {1e3 * told['first_p50_s']:.0f} ms p99 {1e3 * told['first_p99_s']:.0f} ms"
    return f"{told['rate']:7.1f} tokens/s  {first}  {told['failed']} failed {told['failure']}"


def _rpc(gateway: Gateway) -> str:
    return f"127.0.0.1:{gateway.rpc_port}"


def _streams(
    kind: str,
    address: str,
    number: int,
    seconds: float,
    expected: str = "",
    tokens: int = MAX_TOKENS,
) -> dict[str, Any]:
    order = {
        "kind": kind,
        "address": address,
        "model": MODEL,
        "key": KEY,
        "streams": number,
        "seconds": seconds,
        "max_tokens": tokens,
        "expected": expected,
    }
    return told_by("tests.bench.serving.streams", order)


@contextmanager
def triton(work: Path) -> Iterator[str]:
    """A Triton of its own with the base model as an engine; its address."""
    home = Home.of(work / "triton-home")
    home.make()
    keys = credentials(home)
    part = triton_process(home, Ports.of(home), keys)
    part.prepare()
    _place(models(home) / MODEL, work)
    environment = dict(part.environment)
    with running(part.command, SERVER_CORE, environment, work / "triton.log") as process:
        address = part.addresses["triton"]
        if not listening(int(address.rpartition(":")[2]), process, 120):
            raise RuntimeError((work / "triton.log").read_text()[-500:])
        with InferenceServerClient(address) as client:
            token = {f"triton-grpc-protocol-{REPOSITORY_HEADER}": keys.triton_repository_token}
            client.load_model(MODEL, headers=token, client_timeout=120)
        yield address


def _place(target: Path, work: Path) -> None:
    gguf = work / "model.gguf"
    python = str(VENV / "bin" / "python")
    convert = (python, "-m", "services.trainer.adapters.gguf")
    files = (str(BASE), str(BASE / "model.safetensors"), str(gguf))
    subprocess.run([*convert, *files], check=True, cwd=REPO, timeout=300)
    shutil.copytree(REPO / "infra" / "triton" / "llm", target)
    config = target / "config.pbtxt"
    values = {
        "name": MODEL,
        "gguf": str(gguf),
        "tokenizer": str(BASE / "tokenizer.json"),
        "cache_size_gb": "0.5",
    }
    config.write_text(Template(config.read_text()).safe_substitute(values))
