"""Registry: what runs, what ran, and why; the campaign that brings the next release.

Consumes  evaluation.completed.v1, evaluation.failed.v1, inference.engine-loaded.v1,
          monitor.canary-evidence.v1, monitor.retraining-triggered.v1,
          preprocessing.dataset-refused.v1, preprocessing.dataset-versioned.v1,
          registry.campaign-requested.v1, registry.operator-acted.v1,
          training.completed.v1, training.engine-built.v1, training.engine-failed.v1,
          training.engine-stale.v1, training.failed.v1, training.started.v1
Produces  preprocessing.dataset-requested.v1, registry.application-applied.v1,
          registry.campaign-requested.v1, registry.campaign-transitioned.v1,
          registry.candidate-registered.v1, registry.operator-acted.v1,
          registry.routing.v1, training.engine-requested.v1, training.requested.v1
Serves    perennial.registry.v1.RegistryService (gRPC)
Stores    SQL: applications, API key digests, datasets, models, releases, routing, campaigns
          and their transitions, and the outbox
"""
