"""Ports made of real things: gRPC and ops ports (`backends`), Kafka's admin client (`kafka`)."""
