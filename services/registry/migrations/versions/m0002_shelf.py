"""Prompts, approved providers, engines and the versions of their runtimes."""

import sqlalchemy as sa
from alembic import op

from libs.sql.engine import SEQUENCE

revision, down_revision = "0002", "0001"

HEX = sa.String(64)
NAME = sa.String(63)
ID = sa.String(255)
AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create(
        "prompts",
        sa.Column("application", NAME, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content_sha256", HEX, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("created_by", ID, nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.UniqueConstraint("application", "version", name="uq_prompts"),
    )
    _create(
        "approvals",
        sa.Column("application", NAME, nullable=False),
        sa.Column("identity_sha256", HEX, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("campaign_id", ID, nullable=False),
        sa.Column("operator", ID, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("approved_at", AT, nullable=False),
        sa.UniqueConstraint("application", "identity_sha256", name="uq_approvals"),
    )
    _create(
        "engines",
        sa.Column("application", NAME, nullable=False),
        sa.Column("digest", HEX, nullable=False),
        sa.Column("runtime", ID, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.Column("built_at", AT, nullable=False),
        sa.UniqueConstraint("application", "digest", name="uq_engines"),
    )
    op.create_table(
        "runtimes",
        sa.Column("runtime", ID, primary_key=True),
        sa.Column("version", ID, nullable=False),
    )


def _create(name: str, *members: sa.Column[object] | sa.UniqueConstraint) -> None:
    seq = sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True)
    op.create_table(name, seq, *members, sqlite_autoincrement=True)
