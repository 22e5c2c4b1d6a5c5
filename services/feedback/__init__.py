"""Feedback: what people think of an answer, joined with the answer.

Consumes  feedback.given.v1, inference.generation-served.v1, registry.routing.v1
Produces  feedback.given.v1, feedback.joined.v1
Serves    perennial.feedback.v1.FeedbackService (gRPC), POST /v1/feedback (HTTP)
Stores    the join's state: faust tables in memory, their changelog in Kafka
"""
