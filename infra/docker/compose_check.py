"""Is docker-compose.yml a compose file? ``python -m infra.docker.compose_check FILE``.

Read by an implementation of the compose specification, without docker and without a network:
unknown keys, wrong types and references to absent services, volumes and secrets are refused. Ours
on top: a port is published on 127.0.0.1 only, and a secret has no default.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from compose_spec import PyCompose

VARIABLE: Final = re.compile(r"\$\{(?P<name>\w+)(?:(?P<rule>:?[-?])(?P<word>[^}]*))?\}")
SECRET: Final = re.compile(r"KEY|TOKEN|PASSWORD|SECRET")


def faults(text: str) -> list[str]:
    """What is wrong with a compose file, one line each."""
    found = [
        f"${{{match['name']}}}: a secret is required, as in ${{{match['name']}:?why}}"
        for match in VARIABLE.finditer(text)
        if SECRET.search(match["name"]) and match["rule"] != ":?"
    ]
    try:
        tree: dict[str, Any] = yaml.safe_load(VARIABLE.sub(_stand_in, text))
        PyCompose.from_json(json.dumps(tree)).validate()
    except (ValueError, TypeError, yaml.YAMLError) as error:
        return [*found, str(error)]
    for name, service in tree["services"].items():
        found += [
            f"{name}: port {port} is not on 127.0.0.1"
            for port in service.get("ports", [])
            if not str(port).startswith("127.0.0.1:")
        ]
    return found


def _stand_in(match: re.Match[str]) -> str:
    return (match["word"] or "1") if match["rule"] in {":-", "-"} else "required"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    wrong = faults(path.read_text())
    print("\n".join(f"{path}: {fault}" for fault in wrong) or f"{path}: good")
    sys.exit(bool(wrong))
