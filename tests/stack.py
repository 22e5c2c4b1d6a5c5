"""Fixtures of real parts: Kafka and S3 from the local stack, SQLite and PostgreSQL.

The stack lives in ``.perennial-test`` (or ``$TEST_STACK_HOME``). One that runs already is used and
left running; else it is started once a session and stopped at its end.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import grpc
import psycopg
import pytest
from minio import Minio

from infra.local import stack
from infra.local.home import REPO
from libs.rpc.client import sync_channel
from libs.runtime.config import S3Settings
from tests.ports import free_port
from tests.waiting import eventually

PARTS = ("kafka", "topics", "s3")
START_S = 180.0


@pytest.fixture(scope="session")
def stack_home() -> Iterator[Path]:
    """The home of a running stack with at least Kafka, its topics and S3."""
    home = Path(os.environ.get("TEST_STACK_HOME") or REPO / ".perennial-test")
    ours = not stack.status(home)
    stack.up(home, only=PARTS)
    yield home
    if ours:
        stack.down(home)


@pytest.fixture(scope="session")
def brokers(stack_home: Path) -> str:
    """host:port of Kafka, with every topic of ``libs/events/topics.py``."""
    return stack.endpoints(stack_home)["kafka"]


@pytest.fixture(scope="session")
def s3(stack_home: Path) -> S3Settings:
    """The object store with a fresh bucket."""
    endpoint = stack.endpoints(stack_home)["s3"]
    keys = stack.credentials(stack_home)
    bucket = f"test-{uuid4().hex[:12]}"
    client = Minio(
        endpoint, access_key=keys.s3_access_key, secret_key=keys.s3_secret_key, secure=False
    )
    client.make_bucket(bucket)
    return S3Settings.model_validate(
        {
            "endpoint": endpoint,
            "access_key": keys.s3_access_key,
            "secret_key": keys.s3_secret_key,
            "bucket": bucket,
        }
    )


@pytest.fixture
def group() -> str:
    """A consumer group that nobody else uses."""
    return f"test-{uuid4().hex[:12]}"


@dataclass
class ServiceProcess:
    """``python -m services.<name>`` with a SQLite file, Kafka and an operators' door.

    Fields:
        answered: one call through the door; raises `grpc.RpcError` until it is open.
    """

    name: str
    brokers: str
    home: Path
    answered: Callable[[grpc.Channel], object]
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    rpc_port: int = field(default_factory=free_port)
    ops_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes]" = field(init=False)
    door: grpc.Channel = field(init=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.rpc_port}"

    def start(self) -> None:
        """Returns when its door answers."""
        environment = {
            **{name: value for name, value in os.environ.items() if "PERENNIAL" not in name},
            "PERENNIAL_KAFKA__BROKERS": self.brokers,
            "PERENNIAL_SQL__URL": f"sqlite:///{self.home / self.name}.db",
            "PERENNIAL_RPC__PORT": str(self.rpc_port),
            "PERENNIAL_OPS__PORT": str(self.ops_port),
            "PERENNIAL_OPERATOR_TOKEN": self.token,
        }
        with (self.home / f"{self.name}.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.name}"],
                env=environment,
                stdout=output,
                stderr=output,
            )
        eventually(self.answers, within_s=START_S)

    def answers(self) -> bool:
        # A new channel each time: one that was refused waits longer and longer.
        self.door = self.channel()
        try:
            self.answered(self.door)
        except grpc.RpcError:
            return False
        return True

    def channel(self, token: str = "") -> grpc.Channel:
        return sync_channel(self.address, token or self.token)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def service(brokers: str, tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts services by name; what still runs at the end is killed."""
    started: list[ServiceProcess] = []

    def start(name: str, answered: Callable[[grpc.Channel], object]) -> ServiceProcess:
        started.append(ServiceProcess(name, brokers, tmp_path, answered))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.kill()


@dataclass(frozen=True, slots=True)
class Postgres:
    port: int

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as session:
            session.execute(statement.encode())

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            self.execute("select 1")
            return True
        return False


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of our own on 127.0.0.1, from the installed package."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = binaries[-1] if binaries else Path(shutil.which("postgres") or "/absent").parent
    if not (found / "postgres").exists():
        pytest.skip("PostgreSQL is not installed")
    # Not under pytest's directory, which other users may not enter.
    home = Path(tempfile.mkdtemp(prefix="perennial-postgres-"))
    server = Postgres(free_port())
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user:
        os.chown(home, pwd.getpwnam(user).pw_uid, -1)
    subprocess.run(
        [found / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "--no-sync"],
        check=True, capture_output=True, user=user, cwd=home, timeout=120,
    )  # fmt: skip
    process = subprocess.Popen(
        [
            *(found / "postgres", "-D", home / "data", "-p", str(server.port), "-k", home),
            *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        cwd=home,
    )
    try:
        eventually(server.answers, within_s=60)
        yield server
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def sql_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, once on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    database = f"test_{uuid4().hex[:12]}"
    server.execute(f"create database {database}")
    yield server.url(database).replace("postgresql://", "postgresql+psycopg://")
    server.execute(f"drop database {database} with (force)")
