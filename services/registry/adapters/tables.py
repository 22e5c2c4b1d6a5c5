"""The SQL schema: a domain value is canonical JSON beside the columns it is found by."""

from typing import Any, Final

import sqlalchemy as sa

from libs.sql.engine import SEQUENCE
from libs.sql.outbox import add_outbox

METADATA: Final = sa.MetaData()
HEX: Final = sa.String(64)
NAME: Final = sa.String(63)
ID: Final = sa.String(255)
AT: Final = sa.DateTime(timezone=True)


def _table(name: str, *members: sa.Column[Any] | sa.UniqueConstraint) -> sa.Table:
    """A table in insertion order of ``seq``, which pages go by."""
    seq = sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True)
    return sa.Table(name, METADATA, seq, *members, sqlite_autoincrement=True)


APPLICATIONS: Final = _table(
    "applications",
    sa.Column("name", NAME, nullable=False, unique=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("applied_at", AT, nullable=False),
)
API_KEYS: Final = _table(
    "api_keys",
    sa.Column("application", NAME, nullable=False, index=True),
    sa.Column("sha256", HEX, nullable=False, unique=True),
    sa.Column("created_at", AT, nullable=False),
    sa.Column("revoked_at", AT),
)
DATASETS: Final = _table(
    "datasets",
    sa.Column("application", NAME, nullable=False),
    sa.Column("digest", HEX, nullable=False),
    sa.Column("campaign_id", ID, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("created_at", AT, nullable=False),
    sa.UniqueConstraint("application", "digest", name="uq_datasets"),
)
MODELS: Final = _table(
    "models",
    sa.Column("application", NAME, nullable=False),
    sa.Column("digest", HEX, nullable=False),
    sa.Column("campaign_id", ID, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("created_at", AT, nullable=False),
    sa.UniqueConstraint("application", "digest", name="uq_models"),
)
RELEASES: Final = _table(
    "releases",
    sa.Column("application", NAME, nullable=False, index=True),
    sa.Column("digest", HEX, nullable=False, unique=True),
    sa.Column("campaign_id", ID, nullable=False),
    sa.Column("dataset_digest", HEX, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("created_at", AT, nullable=False),
)
ROUTING: Final = _table(
    "routing",
    sa.Column("application", NAME, nullable=False, unique=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
)
CAMPAIGNS: Final = _table(
    "campaigns",
    sa.Column("campaign_id", ID, nullable=False, unique=True),
    sa.Column("application", NAME, nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("tested", sa.Boolean, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("sha256", HEX, nullable=False),
    sa.Column("pending", sa.JSON, nullable=False),  # [[topic, event id], ...]
    sa.Column("started_at", AT, nullable=False),
)
TRANSITIONS: Final = _table(
    "transitions",
    sa.Column("campaign_id", ID, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("event", sa.LargeBinary, nullable=False),  # CampaignTransitioned
    sa.UniqueConstraint("campaign_id", "sequence", name="uq_transitions"),
)
INPUTS: Final = sa.Table(
    "inputs",
    METADATA,
    sa.Column("campaign_id", ID, primary_key=True),
    sa.Column("event_id", ID, primary_key=True),
)
PROMPTS: Final = _table(
    "prompts",
    sa.Column("application", NAME, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content_sha256", HEX, nullable=False),  # of its template and variables
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("created_by", ID, nullable=False),
    sa.Column("created_at", AT, nullable=False),
    sa.UniqueConstraint("application", "version", name="uq_prompts"),
)
APPROVALS: Final = _table(
    "approvals",
    sa.Column("application", NAME, nullable=False),
    sa.Column("identity_sha256", HEX, nullable=False),  # of all but its price and patience
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("campaign_id", ID, nullable=False),
    sa.Column("operator", ID, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("approved_at", AT, nullable=False),
    sa.UniqueConstraint("application", "identity_sha256", name="uq_approvals"),
)
ENGINES: Final = _table(
    "engines",
    sa.Column("application", NAME, nullable=False),
    sa.Column("digest", HEX, nullable=False),
    sa.Column("runtime", ID, nullable=False),
    sa.Column("event", sa.LargeBinary, nullable=False),  # EngineBuilt
    sa.Column("built_at", AT, nullable=False),
    sa.UniqueConstraint("application", "digest", name="uq_engines"),
)
RUNTIMES: Final = sa.Table(
    "runtimes",
    METADATA,
    sa.Column("runtime", ID, primary_key=True),
    sa.Column("version", ID, nullable=False),
)
OUTBOX: Final = add_outbox(METADATA)
