"""Values and decisions of answering: pure."""
