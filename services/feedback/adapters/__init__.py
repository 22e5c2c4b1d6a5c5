"""Ports made of SQL, Kafka and the routing table."""
