"""Kafka: source, sink, the batched consumer loop, dead letters, and the in-memory twin."""
