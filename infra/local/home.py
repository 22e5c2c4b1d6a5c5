"""Where one local stack keeps everything: state, data, logs, credentials."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.local.files import read_json, write_json

REPO: Final = Path(__file__).resolve().parents[2]
DEFAULT_NAME: Final = ".perennial"


class Unusable(RuntimeError):
    """A home that nothing can be written in."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path}: {why}; PERENNIAL_HOME must name a directory that you may write in, "
            "or one that can be made"
        )


@dataclass(frozen=True, slots=True)
class Home:
    path: Path

    @classmethod
    def of(cls, path: Path | str | None = None) -> "Home":
        """``path``, or ``$PERENNIAL_HOME``, or ``.perennial`` in the repository."""
        chosen = Path(path or os.environ.get("PERENNIAL_HOME") or REPO / DEFAULT_NAME)
        return cls(chosen.absolute())

    @property
    def is_default(self) -> bool:
        return self.path == REPO / DEFAULT_NAME

    @property
    def state_file(self) -> Path:
        return self.path / "state.json"

    @property
    def wanted_file(self) -> Path:
        return self.path / "wanted.json"

    @property
    def endpoints_file(self) -> Path:
        return self.path / "endpoints.json"

    @property
    def credentials_file(self) -> Path:
        return self.path / "credentials.json"

    @property
    def ports_file(self) -> Path:
        return self.path / "ports.json"

    @property
    def runner_lock(self) -> Path:
        return self.path / "runner.lock"

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def mark(self, name: str = "") -> str:
        """The value of ``PERENNIAL_RUN`` of part ``name``; without a name, what all begin with."""
        return f"{self.path}#{name}"

    def make(self) -> None:
        """What it makes is its owner's alone; a directory that was there keeps its mode.

        Raises:
            Unusable: nothing can be written here.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.path / "logs").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Unusable(self.path, error.strerror or str(error)) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise Unusable(self.path, "cannot be written")


@dataclass(frozen=True, slots=True)
class Credentials:
    s3_access_key: str
    s3_secret_key: str
    operator_token: str
    triton_repository_token: str


def credentials(home: Home) -> Credentials:
    """Those of ``credentials.json`` (mode 600), made at random when first asked for."""
    known = read_json(home.credentials_file) or {}
    names = Credentials.__dataclass_fields__
    if set(known) != set(names):
        known = {name: known.get(name) or secrets.token_hex(20) for name in names}
        write_json(home.credentials_file, known)
    return Credentials(**known)
