"""What inference does: answer, mirror, keep engines as routed, deliver events."""
