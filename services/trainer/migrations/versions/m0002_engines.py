"""Engine builds, what they leave, and the campaigns that have ended."""

import sqlalchemy as sa
from alembic import op

from libs.sql import job

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.create_table("builds", *job.columns_v1(), sqlite_autoincrement=True)
    op.create_table(
        "kept",
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "engines",
        sa.Column("build_id", sa.String(255), primary_key=True),
        sa.Column("application", sa.String(255), nullable=False, index=True),
        sa.Column("model_digest", sa.String(64), nullable=False, index=True),
        sa.Column("runtime", sa.String(64), nullable=False),
        sa.Column("runtime_version", sa.String(255), nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("told_version", sa.String(255), nullable=False),
    )
    op.create_table(
        "ended_campaigns",
        sa.Column("campaign_id", sa.String(255), primary_key=True),
    )
