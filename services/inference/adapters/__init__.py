"""The ports made of real things: Triton, the artifact store, files, Kafka."""
