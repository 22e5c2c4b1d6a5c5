"""Content-addressed objects: the claim check of events, datasets, weights and reports."""
