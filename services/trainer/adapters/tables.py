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
BUILDS = add_jobs(METADATA, "builds")
KEPT = sa.Table(
    "kept",
    METADATA,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
"""Results of steps by the digest of all that they depend on, and logs by build."""
ENGINES = sa.Table(
    "engines",
    METADATA,
    sa.Column("build_id", sa.String(255), primary_key=True),
    sa.Column("application", sa.String(255), nullable=False, index=True),
    sa.Column("model_digest", sa.String(64), nullable=False, index=True),
    sa.Column("runtime", sa.String(64), nullable=False),
    sa.Column("runtime_version", sa.String(255), nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("told_version", sa.String(255), nullable=False),  # that it is stale for
)
"""Completed builds, so that they are found by application, model and runtime."""
ENDED_CAMPAIGNS = sa.Table(
    "ended_campaigns", METADATA, sa.Column("campaign_id", sa.String(255), primary_key=True)
)
