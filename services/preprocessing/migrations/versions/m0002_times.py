"""When each record occurred; 0 for those stored before."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.add_column(
        "records", sa.Column("occurred_at", sa.Double, nullable=False, server_default="0")
    )
