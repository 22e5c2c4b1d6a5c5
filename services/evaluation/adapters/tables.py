"""Evaluation's tables."""

import sqlalchemy as sa

from libs.sql.job import add_jobs
from libs.sql.outbox import add_outbox

METADATA = sa.MetaData()
JOBS = add_jobs(METADATA)
OUTBOX = add_outbox(METADATA)
SCORES = sa.Table(
    "scores",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.String(128), nullable=False),
)
