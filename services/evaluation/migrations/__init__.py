"""Alembic revisions of evaluation's tables."""
