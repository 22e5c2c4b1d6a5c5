"""The schema's versions, applied at start."""
