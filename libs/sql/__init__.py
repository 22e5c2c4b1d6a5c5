"""SQL: one set-up for SQLite and PostgreSQL, the outbox, durable jobs, migrations, a Part."""
