"""The migrations make the tables that the code uses."""

from pathlib import Path

from libs.sql.engine import connect
from libs.sql.migrate import differences, upgrade
from services.preprocessing.adapters.tables import METADATA


def test_the_migrated_schema_is_the_declared_one(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'rows.db'}")

    upgrade(engine, "services.preprocessing")

    assert differences(engine, METADATA) == []
