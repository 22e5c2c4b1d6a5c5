"""Alembic's entry; the body is the library's."""

from libs.sql.migrate import run_migrations

run_migrations()
