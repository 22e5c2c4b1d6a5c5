"""States of applications and of their releases, and the outbox."""

import sqlalchemy as sa
from alembic import op

from libs.sql import outbox

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table(
        "applications",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "releases",
        sa.Column("application", sa.String(63), primary_key=True),
        sa.Column("digest", sa.String(128), primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("fit", sa.LargeBinary),
    )
    op.create_table("outbox", *outbox.columns_v1(), sqlite_autoincrement=True)
