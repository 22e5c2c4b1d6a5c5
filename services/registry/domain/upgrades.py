"""A champion whose runtime has moved on: its engine is built again, as it was, for the new one.

The weights are the same, and the engine's gate holds the new engine to them; so it takes over
after its shadow, without a canary, and uses up nothing of the error budget.
"""

from dataclasses import replace

from services.registry.domain.canonical import sha256
from services.registry.domain.policies import EnginePolicy
from services.registry.domain.values import Engine


def stale(built_version: str, current_version: str) -> bool:
    """Built for another version of its runtime than the one known now; "" is of none here."""
    return current_version not in ("", built_version)


def upgrade_id(engine: Engine, current_version: str, attempt: int) -> str:
    """Id of the campaign that builds ``engine`` again for that version, so that it is known
    whether it was tried."""
    return f"upgrade-{sha256((engine.digest, current_version))[:24]}-{attempt}"


def as_it_was(engine: Engine, bounds: EnginePolicy) -> EnginePolicy:
    """The order of ``engine`` again, within ``bounds``."""
    return replace(bounds, runtime=engine.runtime, precision=engine.precision)
