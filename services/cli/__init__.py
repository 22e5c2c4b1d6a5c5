"""The `perennial` command: what operators and developers type. Owns no state.

Consumes  nothing (reads topics on request: trace, dlq, reconcile)
Produces  nothing (dlq replay sends dead letters to their topic again)
Serves    a command line; every command but `run` has --json
Stores    API keys that it was given, in $PERENNIAL_HOME/keys.json (mode 600)
"""

from typing import Final

VERSION: Final = "0.1.0"
