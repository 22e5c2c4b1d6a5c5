"""The ports made of real things: SQL, Parquet, the language model, Kafka's watermarks."""
