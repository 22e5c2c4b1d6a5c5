"""Jobs, outbox, index of scores."""

import sqlalchemy as sa
from alembic import op

from libs.sql import job, outbox

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table("jobs", *job.columns_v1(), sqlite_autoincrement=True)
    op.create_table("outbox", *outbox.columns_v1(), sqlite_autoincrement=True)
    op.create_table(
        "scores",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("media_type", sa.String(128), nullable=False),
    )
