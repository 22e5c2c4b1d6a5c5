"""Preprocessing: turns what was taken in into rows to train and to test on, and cuts datasets.

Consumes  ingest.record-received.v1, feedback.joined.v1, preprocessing.dataset-requested.v1
Produces  preprocessing.dataset-versioned.v1, preprocessing.dataset-refused.v1,
          preprocessing.record-rejected.v1
Stores    rows, their near-duplicate index, corrections and requests in SQL; datasets as
          Parquet with a manifest in the artifact store
"""
