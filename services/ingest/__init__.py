"""Ingest: takes records in, refuses what is malformed, and puts the rest on the log once.

Consumes  ingest.record-submitted.v1, registry.routing.v1
Produces  ingest.record-received.v1
Serves    perennial.ingest.v1.IngestService (gRPC), POST /v1/records (HTTP)
Stores    contents above the inline bound in the artifact store
"""
