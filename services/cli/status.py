"""`perennial status`: each endpoint, and whether what is behind it is ready."""

import json
import urllib.error
import urllib.request
from typing import Any, Final

from services.cli import show
from services.cli.session import Session

TIMEOUT_S: Final = 3.0


def readiness(address: str) -> str:
    """``ready``, what it waits for, or ``down``."""
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=TIMEOUT_S):
            return "ready"
    except urllib.error.HTTPError as error:
        body: dict[str, Any] = json.load(error)
        return "waiting for " + "; ".join(body.get("waiting_for", ["?"]))
    except OSError:
        return "down"


def status(as_json: show.AsJson = False) -> None:
    """Show the stack's services and whether they are ready."""
    endpoints = Session.here().endpoints()
    services = {name.partition(".")[0] for name in endpoints if name.endswith(".ops")}
    found = [
        {
            "service": service,
            "state": readiness(endpoints[f"{service}.ops"]),
            "doors": " ".join(
                f"{name.partition('.')[2]}={address}"
                for name, address in sorted(endpoints.items())
                if name.startswith(f"{service}.")
            ),
        }
        for service in sorted(services)
    ]
    show.rows("services", found, as_json)
