"""The local stack as plain processes on 127.0.0.1: ``python -m infra.local up | down | status``.

``stack`` is the door for code (tests, the demo, the command line). A runner process keeps the
parts alive; it is told what to run by ``wanted.json`` and tells what runs by ``state.json``, both
under ``$PERENNIAL_HOME`` (default ``.perennial``). Every process carries ``PERENNIAL_RUN`` in its
environment, so that whatever happened to the runner the next ``up`` or ``down`` finds them all.

    home -> plan (parts/) -> runner -> keeper (one thread a part) -> board (state.json)
"""
