"""Feedback: what people think of an answer, joined with the answer.

Consumes  feedback.given.v1, inference.generation-served.v1, registry.routing.v1
Produces  feedback.given.v1, feedback.joined.v1
Serves    perennial.feedback.v1.FeedbackService (gRPC), POST /v1/feedback (HTTP)
Stores    SQL: what is known of each generation id, with the offsets it has seen; an outbox
"""
