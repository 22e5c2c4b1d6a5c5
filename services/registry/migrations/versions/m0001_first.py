"""The first schema."""

import sqlalchemy as sa
from alembic import op

from libs.sql.engine import SEQUENCE
from libs.sql.outbox import columns_v1

revision, down_revision = "0001", None

HEX = sa.String(64)
NAME = sa.String(63)
ID = sa.String(255)
AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create(
        "applications",
        sa.Column("name", NAME, nullable=False, unique=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("applied_at", AT, nullable=False),
    )
    _create(
        "api_keys",
        sa.Column("application", NAME, nullable=False, index=True),
        sa.Column("sha256", HEX, nullable=False, unique=True),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("revoked_at", AT),
    )
    _create_lineage()
    _create_campaigns()
    op.create_table("outbox", *columns_v1(), sqlite_autoincrement=True)


def _create_lineage() -> None:
    for name in ("datasets", "models"):
        _create(
            name,
            sa.Column("application", NAME, nullable=False),
            sa.Column("digest", HEX, nullable=False),
            sa.Column("campaign_id", ID, nullable=False),
            sa.Column("spec", sa.Text, nullable=False),
            sa.Column("created_at", AT, nullable=False),
            sa.UniqueConstraint("application", "digest", name=f"uq_{name}"),
        )
    _create(
        "releases",
        sa.Column("application", NAME, nullable=False, index=True),
        sa.Column("digest", HEX, nullable=False, unique=True),
        sa.Column("campaign_id", ID, nullable=False),
        sa.Column("dataset_digest", HEX, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("created_at", AT, nullable=False),
    )
    _create(
        "routing",
        sa.Column("application", NAME, nullable=False, unique=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
    )


def _create_campaigns() -> None:
    _create(
        "campaigns",
        sa.Column("campaign_id", ID, nullable=False, unique=True),
        sa.Column("application", NAME, nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("tested", sa.Boolean, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("sha256", HEX, nullable=False),
        sa.Column("pending", sa.JSON, nullable=False),
        sa.Column("started_at", AT, nullable=False),
    )
    _create(
        "transitions",
        sa.Column("campaign_id", ID, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("campaign_id", "sequence", name="uq_transitions"),
    )
    op.create_table(
        "inputs",
        sa.Column("campaign_id", ID, primary_key=True),
        sa.Column("event_id", ID, primary_key=True),
    )


def _create(name: str, *members: sa.Column[object] | sa.UniqueConstraint) -> None:
    seq = sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True)
    op.create_table(name, seq, *members, sqlite_autoincrement=True)
