"""gRPC: one server shape, one error mapping, one way to prove who calls."""
