"""What only SQL can do wrong: the schema, writers at once, queries without an index."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from libs.sql.engine import connect
from libs.sql.migrate import upgrade
from services.feedback.adapters.sql import SqlSlots
from services.feedback.domain import Slot
from services.feedback.ports import Place
from tests.unit.services.feedback.fakes import ID, NOON


@pytest.fixture
def engine(sql_url: str) -> Iterator[Engine]:
    engine = connect(sql_url)
    upgrade(engine, "services.feedback")
    yield engine
    engine.dispose()


def test_those_who_change_a_partition_take_turns(engine: Engine) -> None:
    place = Place(0, ID)

    def count(_: int) -> None:
        with SqlSlots(engine).begin([0]) as work:
            slot = work.find([place]).get(place, Slot(NOON))
            work.put({place: Slot(NOON, seen={"turns": slot.seen.get("turns", 0) + 1})})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, range(24)))

    with SqlSlots(engine).begin([0]) as work:
        assert work.find([place])[place].seen == {"turns": 24}
        assert work.totals(0).slots == 1


def test_no_query_reads_a_whole_table() -> None:
    engine, plans = connect("sqlite://"), list[str]()
    upgrade(engine, "services.feedback")
    place = Place(0, ID)

    @sa.event.listens_for(engine, "before_cursor_execute")
    def explain(_: object, cursor: Any, statement: str, values: Any, *more: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            one = values[0] if isinstance(values, list) else values
            plans.extend(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", one))

    with SqlSlots(engine).begin([0]) as work:
        work.find([place])
        work.put({place: Slot(NOON)})
        work.put({place: Slot(NOON)})
        work.oldest(0)
        work.waiting(0)
        work.drop(0, {ID: "age"})

    assert all(any(index in plan for plan in plans) for index in ("slots_waiting", "slots_by_age"))
    assert [plan for plan in plans if "SCAN" in plan or "TEMP" in plan] == []
