"""The first schema."""

import sqlalchemy as sa
from alembic import op

from libs.sql import job, outbox

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table("jobs", *job.columns_v1(), sqlite_autoincrement=True)
    op.create_table("outbox", *outbox.columns_v1(), sqlite_autoincrement=True)
    op.create_table(
        "checkpoints",
        sa.Column("run_id", sa.String(255), primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("artifact", sa.LargeBinary, nullable=False),
    )
