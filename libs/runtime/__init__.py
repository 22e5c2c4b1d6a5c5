"""How a service starts, runs, is watched and stops: given once."""
