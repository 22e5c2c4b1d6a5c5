"""Contracts <-> domain values; validation, once.

``values``    messages and values whose fields have the same names
``events``    consumed events -> inputs of a campaign
``messages``  commands and stored things -> events and answers
"""
