"""The trainer's tables."""

import sqlalchemy as sa

from libs.sql.job import add_jobs
from libs.sql.outbox import add_outbox

METADATA = sa.MetaData()
RUNS = add_jobs(METADATA)
OUTBOX = add_outbox(METADATA)
CHECKPOINTS = sa.Table(
    "checkpoints",
    METADATA,
    sa.Column("run_id", sa.String(255), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("artifact", sa.LargeBinary, nullable=False),
)
