"""The monitor's tables, revision by revision."""
