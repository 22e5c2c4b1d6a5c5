"""Feedback's tables, revision by revision."""
