"""Paired comparison of two models on the same rows, and the gate that reads it."""
