"""Streams: faust inside a service's own event loop, and the agent from which nothing is lost."""
