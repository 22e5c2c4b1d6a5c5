"""The registry's ports made of real things.

``tables``     the SQL schema
``store``      `ports.Store`: transactions and their outbox
``catalogue``  `ports.Catalogue`: reads
``log``        `ports.Log`: topics from their beginning
"""
