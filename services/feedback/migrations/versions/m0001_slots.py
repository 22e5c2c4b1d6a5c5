"""Slots, what each partition holds of them, and the outbox."""

import sqlalchemy as sa
from alembic import op

from libs.sql import outbox

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table(
        "partitions",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("slots", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "slots",
        sa.Column("generation_id", sa.String(36), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("opened_s", sa.Double, nullable=False),
        sa.Column("answered", sa.Boolean, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_index("slots_by_age", "slots", ["partition", "opened_s"])
    waiting = sa.column("answered").is_(sa.false())
    op.create_index(
        "slots_waiting",
        "slots",
        ["partition", "opened_s"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_table("outbox", *outbox.columns_v1(), sqlite_autoincrement=True)
