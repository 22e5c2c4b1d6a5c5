"""The tables."""

from typing import Final

import sqlalchemy as sa

from libs.sql.outbox import add_outbox

METADATA: Final = sa.MetaData()

# Text without lengths: bounds are checked where events are translated, not by a failing insert.

RECORDS: Final = sa.Table(
    "records",
    METADATA,
    sa.Column("record_id", sa.Text, primary_key=True),
    sa.Column("application", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # kept, rejected, removed
    sa.Column("code", sa.Text, nullable=False),  # why it is not kept; "" when it is
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("group", sa.Text, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("contents", sa.JSON, nullable=False),  # empty unless kept
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("content_digest", sa.Text, nullable=False),
    sa.Column("prompt_digest", sa.Text, nullable=False),
    sa.Column("shingles", sa.Integer, nullable=False),  # how many
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("occurred_at", sa.Double, nullable=False, server_default="0"),  # s since 1970; 0 = ?
    sa.Index("records_by_content", "application", "content_digest"),
    sa.Index("records_by_state", "application", "state", "kind"),
    sa.Index("records_by_subject", "application", "subject"),
)
"""One line per record that was ever judged: a repeat of it changes nothing."""

BANDS: Final = sa.Table(
    "bands",
    METADATA,
    sa.Column("application", sa.Text, primary_key=True),
    sa.Column("band", sa.BigInteger, primary_key=True),
    sa.Column("record_id", sa.Text, primary_key=True),
    sa.Index("bands_by_record", "record_id"),
    sqlite_with_rowid=False,
)
"""MinHash bands of kept rows."""

CORRECTIONS: Final = sa.Table(
    "corrections",
    METADATA,
    sa.Column("application", sa.Text, primary_key=True),
    sa.Column("feedback_id", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("record_id", sa.Text, nullable=False),  # "": no row
)
"""The newest version of each feedback that was seen."""

REQUESTS: Final = sa.Table(
    "requests",
    METADATA,
    sa.Column("campaign_id", sa.Text, primary_key=True),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("answer_kind", sa.Text, nullable=False, index=True),  # "": pending
    sa.Column("answer", sa.LargeBinary, nullable=False),
)
"""Datasets that were asked for, with their answers."""

OUTBOX: Final = add_outbox(METADATA)
