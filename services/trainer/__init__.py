"""Trainer: fine-tunes the base model on a dataset version, as durable runs that survive kills.

Consumes  training.requested.v1, training.engine-requested.v1
Produces  training.started.v1, training.progressed.v1, training.completed.v1, training.failed.v1,
          training.engine-built.v1, training.engine-failed.v1, training.engine-stale.v1
Serves    perennial.training.v1.TrainingService (gRPC, operator's token)
Stores    runs and outbox in SQL; checkpoints, adapters, merged weights and engines as artefacts
"""
