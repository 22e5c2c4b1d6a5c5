"""Topic provisioning: once, as soon as the broker is there."""

from infra.local.home import REPO
from infra.local.process import Probe, Process


def topics(kafka: Process) -> list[Process]:
    """Creates what ``libs/events/topics.py`` declares; ends with status 0 when all exist."""
    if not (REPO / "libs/kafka/provision.py").exists():
        return []
    return [
        Process(
            name="topics",
            command=(str(REPO / ".venv/bin/python"), "-m", "libs.kafka.provision"),
            environment={"PERENNIAL_KAFKA__BROKERS": kafka.addresses["kafka"]},
            probe=Probe("exit"),
            needs=("kafka",),
        )
    ]
