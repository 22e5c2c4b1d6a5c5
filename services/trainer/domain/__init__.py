"""Pure values and decisions: runs, engines, and the gate between an engine and its traffic."""
