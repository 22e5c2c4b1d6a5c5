"""Events: which there are, how they become bytes, how their topics come to be."""
