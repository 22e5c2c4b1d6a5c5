"""Ports made of real things. ``score``, ``engines`` and ``text`` run in the model environment."""
