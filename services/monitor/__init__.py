"""Monitor: is the traffic still what the champion was made for, and is the candidate worse.

It watches every answer, says when the prompts or the model's behaviour drifted, asks for
retraining once there are new rows to learn from, and weighs a candidate against the champion
after every rating, with error probabilities that hold however often they are looked at.

Consumes  inference.generation-served.v1, inference.provider-probed.v1, feedback.joined.v1,
          training.completed.v1, registry.application-applied.v1, registry.routing.v1
Produces  monitor.drift-detected.v1, monitor.cause-attributed.v1, monitor.probe-requested.v1,
          monitor.decision-made.v1, monitor.retraining-triggered.v1, monitor.slo-breached.v1,
          monitor.canary-evidence.v1
Serves    perennial.monitor.v1.MonitorService (gRPC, operator's token)
Stores    SQL: the state of each application with the offsets it has seen; an outbox
"""
