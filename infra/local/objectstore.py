"""The S3 store: SeaweedFS in one process, reachable through S3 with credentials only."""

import json
from pathlib import Path
from typing import Final

from infra.local.home import REPO, Credentials, Home
from infra.local.ports import Ports
from infra.local.process import Probe, Process

BUCKETS: Final = ("perennial", "tansu")


def object_store(home: Home, ports: Ports, keys: Credentials) -> Process:
    address = f"127.0.0.1:{ports('s3', 8333, with_grpc=True)}"
    data = home.path / "s3"
    identities = data / "identities.json"
    return Process(
        name="s3",
        command=(
            str(REPO / ".venv/bin/weed"),
            *("mini", f"-dir={data / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            "-disableHttp",  # else the filer serves and takes objects without credentials
            "-master.telemetry=false",
            f"-s3.port={address.rpartition(':')[2]}",
            "-s3.localSocket=s3/s3.sock",  # in the home; relative, for such a path must be short
            f"-master.port={ports('s3.master', 9333, with_grpc=True)}",
            f"-volume.port={ports('s3.volume', 9340, with_grpc=True)}",
            f"-filer.port={ports('s3.filer', 8888, with_grpc=True)}",
            f"-admin.port={ports('s3.admin', 9646, with_grpc=True)}",
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
            *(f"-s3.config={identities}", f"-bucket={','.join(BUCKETS)}"),
        ),
        probe=Probe("http", address, "/", accepts=(403,)),
        addresses={"s3": address},
        prepare=lambda: _write_identities(identities, keys),
        directory=home.path,
    )


def _write_identities(path: Path, keys: Credentials) -> None:
    identity = {
        "name": "platform",
        "credentials": [{"accessKey": keys.s3_access_key, "secretKey": keys.s3_secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (path.parent / "data").mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"identities": [identity]}))
