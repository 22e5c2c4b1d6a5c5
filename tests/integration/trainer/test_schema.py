"""The trainer's tables on both engines."""

from libs.runtime.clock import SystemClock
from libs.sql.engine import connect
from libs.sql.jobs import Jobs
from libs.sql.migrate import upgrade
from protos.common.v1.common_pb2 import Artifact
from services.trainer.adapters.sql import SqlDiary, SqlRuns
from services.trainer.adapters.tables import RUNS


def test_the_checkpoint_with_the_most_steps_is_the_one(sql_url: str) -> None:
    engine = connect(sql_url)
    upgrade(engine, "services.trainer")
    diary = SqlDiary(engine)

    for step in (10, 30, 20, 30):
        diary.keep_checkpoint("run-1", step, Artifact(sha256=f"{step:064}"))

    found = diary.checkpoint("run-1")
    assert found is not None
    assert found.sha256 == f"{30:064}"
    assert diary.checkpoint("run-2") is None


def test_a_run_is_known_once(sql_url: str) -> None:
    engine = connect(sql_url)
    upgrade(engine, "services.trainer")
    runs = SqlRuns(Jobs(engine, RUNS, SystemClock()))

    assert runs.submit("run-1", b"")
    assert not runs.submit("run-1", b"other")
