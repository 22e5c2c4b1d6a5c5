import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from libs.sql.engine import connect
from libs.sql.job import add_jobs
from libs.sql.migrate import differences, upgrade
from libs.sql.outbox import add_outbox

ENV = "from libs.sql.migrate import run_migrations\n\nrun_migrations()\n"
FIRST = """
from alembic import op
from libs.sql import job, outbox
revision, down_revision = "0001", None
def upgrade():
    op.create_table("outbox", *outbox.columns_v1(), sqlite_autoincrement=True)
"""
SECOND = """
from alembic import op
from libs.sql import job
revision, down_revision = "0002", "0001"
def upgrade():
    op.create_table("jobs", *job.columns_v1(), sqlite_autoincrement=True)
    {then}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A service called ``sampled`` with two revisions."""
    versions = tmp_path / "sampled" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "m0001_outbox.py").write_text(FIRST)
    (versions / "m0002_jobs.py").write_text(SECOND.format(then="pass"))
    (versions.parent / "env.py").write_text(ENV)
    for folder in (versions.parent, versions.parent.parent):
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield versions
    for name in [name for name in sys.modules if name.split(".")[0] == "sampled"]:
        del sys.modules[name]


def test_an_empty_store_gets_every_table_and_a_second_start_changes_nothing(
    package: Path, tmp_path: Path
) -> None:
    engine = connect(f"sqlite:///{tmp_path}/store.db")
    metadata = sa.MetaData()
    add_outbox(metadata)
    add_jobs(metadata)

    upgrade(engine, "sampled")
    upgrade(engine, "sampled")

    assert differences(engine, metadata) == []


def test_processes_that_start_together_take_turns(package: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: upgrade(connect(url), "sampled"), range(4)))

    assert "jobs" in sa.inspect(connect(url)).get_table_names()


def test_a_migration_that_fails_leaves_nothing_behind(package: Path, tmp_path: Path) -> None:
    (package / "m0002_jobs.py").write_text(SECOND.format(then="1 / 0"))
    engine = connect(f"sqlite:///{tmp_path}/store.db")

    with pytest.raises(ZeroDivisionError):
        upgrade(engine, "sampled")

    assert sa.inspect(engine).get_table_names() == []
