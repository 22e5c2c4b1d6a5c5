"""Who calls: a bearer secret in the metadata, compared by digest."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from libs.faults import UNAUTHENTICATED, Poison

SCHEME: Final = "bearer "


def digest(key: str) -> str:
    """sha256, lower-case hex. Keys are 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """The secret of ``authorization: Bearer SECRET``, or None."""
    for name, value in metadata or ():
        if name.lower() == "authorization" and isinstance(value, str):
            return from_header(value)
    return None


def from_header(value: str | None) -> str | None:
    """The secret in the value of an ``authorization`` header, or None."""
    if value is None or not value.lower().startswith(SCHEME):
        return None
    return value[len(SCHEME) :].strip() or None


def no_application(key: str | None) -> Poison:
    """The refusal of a caller whose ``key`` no application has; None or "" when there is none."""
    wrong = "no application has this key: " if key else ""
    return Poison(
        f"{wrong}send an application's key: authorization: Bearer KEY", code=UNAUTHENTICATED
    )


def require(secret: str | None, expected: str) -> None:
    """Refuse anything but ``expected``, in constant time.

    Raises:
        Poison: ``unauthenticated``.
    """
    if secret is None or not hmac.compare_digest(secret.encode(), expected.encode()):
        raise Poison("send a valid token: authorization: Bearer TOKEN", code=UNAUTHENTICATED)
