"""The join as the service runs it, also as a process to kill: ``joiner BROKERS GROUP URL``."""

import sys
from datetime import timedelta

from libs.runtime.config import DoorSettings, KafkaSettings, ServiceSettings
from libs.runtime.service import Service, run
from libs.sql.engine import connect
from libs.sql.migrate import upgrade
from services.feedback.compose import join_parts
from services.feedback.domain import Limits

LIMITS = Limits(timedelta(days=7), timedelta(hours=1), 20_000, 10**8)
SWEEP_S = 0.5


def service(brokers: str, group: str, sql_url: str, limits: Limits = LIMITS) -> Service:
    engine = connect(sql_url)
    upgrade(engine, "services.feedback")
    parts = join_parts(KafkaSettings(brokers=brokers), group, engine, limits, SWEEP_S)
    return Service("joiner", ServiceSettings(ops=DoorSettings(port=0)), parts)


if __name__ == "__main__":
    brokers, group, sql_url = sys.argv[1:]
    run(lambda: service(brokers, group, sql_url))
