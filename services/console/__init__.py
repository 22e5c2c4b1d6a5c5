"""Console: one page that shows the loop live.

Consumes  -
Produces  -
Serves    GET / (HTML; needs a session), GET and POST /login (HTTP)
Stores    nothing
"""
