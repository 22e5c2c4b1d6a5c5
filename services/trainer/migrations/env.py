"""Alembic's entry; `libs.sql.migrate.upgrade` calls it."""

from libs.sql.migrate import run_migrations

run_migrations()
