"""Evaluation: is a candidate good enough to meet traffic, on rows that nobody trained on?

Consumes  registry.candidate-registered.v1
Produces  evaluation.completed.v1, evaluation.failed.v1
Serves    nothing
Stores    reports and scored rows in the artifact store; jobs, their index and the outbox in SQL
"""
