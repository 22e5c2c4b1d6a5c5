"""Inference: answers, from the release that routing chose, through the Triton beside it.

Consumes  registry.routing.v1, monitor.probe-requested.v1
Produces  inference.generation-served.v1, inference.engine-loaded.v1,
          inference.provider-probed.v1
Serves    perennial.inference.v1.InferenceService (gRPC), OpenAI-compatible HTTP
Stores    files under its state directory: last routing tables, engines, the event spool, what the
          sentinel knows of external providers

An answer needs Triton, or the external provider of its release, and nothing else. Its event is
in a file of the operating system before the last byte of the answer leaves, so a killed process
loses none; a power cut may lose what the kernel had not yet written. A request refused at the
door (no key, bad input, too busy, no release loaded) was not answered and has no event; it is
counted in metrics.
"""
