"""The monitor's store: states as blobs in SQL."""
