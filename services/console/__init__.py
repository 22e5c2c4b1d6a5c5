"""Console: pages that show the loop and its drift live.

Consumes  -
Produces  -
Serves    GET / and /drift (HTML; need a session), GET and POST /login (HTTP)
Stores    nothing
"""
