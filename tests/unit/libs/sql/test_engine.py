import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from libs.faults import Fatal, StoreAway
from libs.sql import engine as subject
from libs.sql.engine import connect, insert_once, reader

METADATA = sa.MetaData()
THINGS = sa.Table("things", METADATA, sa.Column("name", sa.String, primary_key=True))


def fresh(path: Path) -> sa.Engine:
    engine = connect(f"sqlite:///{path}/deeper/store.db")
    METADATA.create_all(engine)
    return engine


def test_sqlite_is_durable_and_keeps_references(tmp_path: Path) -> None:
    with fresh(tmp_path).connect() as connection:
        told = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert told == ["wal", 2, 1]  # 2 = FULL


def test_a_store_locked_by_another_writer_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "_PRAGMAS", ("busy_timeout=10",))
    first, second = fresh(tmp_path), fresh(tmp_path)

    with first.begin(), pytest.raises(StoreAway, match="locked"), second.begin():
        pass


def test_a_new_file_held_by_another_is_switched_to_its_log_once_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(subject, "_PRAGMAS", ("busy_timeout=0",))
    monkeypatch.setattr("libs.sql.engine.time.sleep", lambda _: holder.execute("COMMIT"))

    with connect(f"sqlite:///{tmp_path}/store.db").connect() as connection:
        told = connection.exec_driver_sql("PRAGMA journal_mode").scalar()

    assert told == "wal"


def test_a_reader_never_waits_for_a_writer(tmp_path: Path) -> None:
    engine = fresh(tmp_path)
    with engine.begin() as connection:
        connection.execute(THINGS.insert(), {"name": "unseen"})

        with reader(engine).connect() as reading:
            seen = reading.execute(sa.select(THINGS)).all()

    assert seen == []


def test_a_wrong_statement_is_a_bug_and_not_retryable(tmp_path: Path) -> None:
    with fresh(tmp_path).connect() as connection, pytest.raises(sa.exc.OperationalError):
        connection.exec_driver_sql("SELECT * FROM nothing")


def test_an_unreachable_postgresql_is_away() -> None:
    with pytest.raises(StoreAway, match="PostgreSQL"):
        connect("postgresql://nobody@127.0.0.1:1/none").connect()


def test_another_database_is_refused() -> None:
    with pytest.raises(Fatal, match="mysql"):
        connect("mysql://localhost/x")


def test_a_row_is_inserted_once(tmp_path: Path) -> None:
    with fresh(tmp_path).begin() as connection:
        told = [insert_once(connection, THINGS, {"name": "a"}) for _ in range(2)]

    assert told == [True, False]
