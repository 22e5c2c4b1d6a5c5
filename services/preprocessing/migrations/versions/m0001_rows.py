"""Rows, bands, corrections, requests and the outbox."""

import sqlalchemy as sa
from alembic import op

from libs.sql.outbox import columns_v1

revision, down_revision = "0001", None


def upgrade() -> None:
    _records()
    op.create_table(
        "bands",
        _text("application", primary_key=True),
        sa.Column("band", sa.BigInteger, primary_key=True),
        _text("record_id", primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("bands_by_record", "bands", ["record_id"])
    op.create_table(
        "corrections",
        _text("application", primary_key=True),
        _text("feedback_id", primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        _text("record_id"),
    )
    op.create_table(
        "requests",
        _text("campaign_id", primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        _text("answer_kind"),
        sa.Column("answer", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_requests_answer_kind", "requests", ["answer_kind"])
    op.create_table("outbox", *columns_v1(), sqlite_autoincrement=True)


def _records() -> None:
    op.create_table(
        "records",
        _text("record_id", primary_key=True),
        *(_text(name) for name in ("application", "state", "code", "kind", "collection")),
        *(_text(name) for name in ("subject", "group")),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("contents", sa.JSON, nullable=False),
        *(_text(name) for name in ("side", "language", "content_digest", "prompt_digest")),
        sa.Column("shingles", sa.Integer, nullable=False),
        _text("topic"),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        _text("event_id"),
    )
    op.create_index("records_by_content", "records", ["application", "content_digest"])
    op.create_index("records_by_state", "records", ["application", "state", "kind"])
    op.create_index("records_by_subject", "records", ["application", "subject"])


def _text(name: str, *, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=primary_key, nullable=False)
