"""The registry's ports made of real things.

``tables``     the SQL schema
``rows``       one row of a table
``store``      `ports.Store`: transactions and their outbox
``shelf``      `ports.Shelf`: prompts, approved providers, engines
``catalogue``  `ports.Catalogue`: reads
``log``        `ports.Log`: topics from their beginning
"""
