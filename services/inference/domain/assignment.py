"""Which release answers, and which answers are mirrored: by hash, so the log can repeat it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from services.inference.domain.release import Engine, Release, Role, Table


@dataclass(frozen=True, slots=True)
class Assignment:
    """``canary_share`` is the probability of the canary that was in force: 0 without one."""

    release: Release
    role: Role
    canary_share: float


def position(salt: str, unit: str) -> float:
    """Where ``unit`` falls in [0, 1]: the same for the same salt, uniform over units."""
    head = hashlib.sha256(f"{salt}:{unit}".encode()).digest()[:8]
    return int.from_bytes(head, "big") / 2**64


def assign(
    table: Table,
    unit: str,
    ready: Callable[[Engine], bool],
    lively: Callable[[Engine], bool] | None = None,
) -> Assignment | None:
    """Choose between champion and canary among engines that are ``ready`` here.

    None when neither is. A canary alone answers everything, with ``canary_share`` 1. A canary
    that is ready but not ``lively`` leaves its share to the champion; the champion leaves nothing
    to a canary before it is gone.
    """
    champion, canary = table.route(Role.CHAMPION), table.route(Role.CANARY)
    if champion is not None and not ready(champion.release.engine):
        champion = None
    able = lively if lively and champion else ready
    if canary is not None and not able(canary.release.engine):
        canary = None
    if canary is None:
        return Assignment(champion.release, Role.CHAMPION, 0.0) if champion else None
    if champion is None:
        return Assignment(canary.release, Role.CANARY, 1.0)
    if position(table.salt, unit) < canary.share:
        return Assignment(canary.release, Role.CANARY, canary.share)
    return Assignment(champion.release, Role.CHAMPION, canary.share)


def mirror(table: Table, unit: str, ready: Callable[[Engine], bool]) -> Assignment | None:
    """The shadow release, for the sampled share of units; drawn apart from ``assign``."""
    shadow = table.route(Role.SHADOW)
    if shadow is None or not ready(shadow.release.engine):
        return None
    if position(f"shadow:{table.salt}", unit) >= shadow.share:
        return None
    return Assignment(shadow.release, Role.SHADOW, 0.0)
