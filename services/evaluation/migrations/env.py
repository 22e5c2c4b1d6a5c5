from libs.sql.migrate import run_migrations

run_migrations()
