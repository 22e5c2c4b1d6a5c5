"""The trainer's schema, version by version."""
