"""Trainer: fine-tunes the base model on a dataset version, and builds and gates its engines.

Both are durable jobs that survive kills.

Consumes  training.requested.v1, training.engine-requested.v1, registry.campaign-transitioned.v1
Produces  training.started.v1, training.progressed.v1, training.completed.v1, training.failed.v1,
          training.engine-built.v1, training.engine-failed.v1, training.engine-stale.v1
Serves    perennial.training.v1.TrainingService (gRPC, operator's token)
Stores    runs, builds and outbox in SQL; checkpoints, adapters, merged weights, engines, their
          gates' reports and logs as artefacts
"""
