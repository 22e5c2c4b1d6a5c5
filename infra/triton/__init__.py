"""Models for Triton's python backend: the language model's engine and the prompt embedding.

``llm/`` is a template: every engine gets its own copy with ``${...}`` in ``config.pbtxt``
filled in. ``embedding/`` is copied once; ``embedding_model`` builds what it loads.
"""
