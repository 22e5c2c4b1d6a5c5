"""The keys of external providers: from settings, or from files that may change."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.inference.domain.release import Provider

READ_AGAIN_S: Final = 10.0


@dataclass(slots=True)
class Keys:
    """A provider without a key here is never called: its name is what the operator allows.

    A name's dashes are underscores in ``keys`` and ``addresses``, as in environment variables.
    ``directory`` holds one file for each name; ``addresses`` binds a key to where it may go.
    """

    keys: Mapping[str, str]
    directory: Path | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    monotonic: Callable[[], float] = time.monotonic
    _files: dict[str, tuple[float, str | None]] = field(default_factory=dict)

    def why_not(self, provider: Provider) -> str | None:
        """Why ``provider`` cannot be called; None when it can."""
        name = provider.name.replace("-", "_")
        bound = self.addresses.get(name)
        if bound is not None and bound.rstrip("/") != provider.base_url:
            return f"provider {provider.name} may be called at another address only"
        if self.of(provider) is None:
            return f"no key is set for provider {provider.name}"
        return None

    def of(self, provider: Provider) -> str | None:
        """Its key; "" for one that wants none, None when it is not known."""
        found = self.keys.get(provider.name.replace("-", "_"))
        return self._read(provider.name) if found is None else found

    def _read(self, name: str) -> str | None:
        if self.directory is None:
            return None
        read_s, key = self._files.get(name, (float("-inf"), None))
        if self.monotonic() - read_s > READ_AGAIN_S:
            try:
                key = (self.directory / name).read_text().strip()
            except OSError:
                key = None
            self._files[name] = self.monotonic(), key
        return key
