"""What an engine is: what it is built of and for, what it is known by, and when it is stale."""

import hashlib
import json
import math
from dataclasses import dataclass, fields

BAD_REQUEST = "bad_request"
NO_BUILDER = "no_builder"


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What tells one engine from another."""

    runtime: str
    runtime_version: str
    precision: str
    hardware: str
    weights_sha256: str

    def digest(self) -> str:
        """sha256, lower-case hex, of the key as canonical JSON."""
        key = {field.name: getattr(self, field.name) for field in fields(self)}
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Target:
    """What an engine is built for: everything of its key but the weights.

    Args:
        runtime_version: with all that makes two engines of one version differ (an image's digest).
        hardware: ``cpu``, ``sm_90``; of several ranks ``sm_90x2``.
    """

    runtime: str
    runtime_version: str
    precision: str
    hardware: str

    def key(self, weights_sha256: str) -> EngineKey:
        return EngineKey(
            self.runtime, self.runtime_version, self.precision, self.hardware, weights_sha256
        )


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built, and how far it may stray from its weights.

    Args:
        max_logprob_difference: mean absolute, nats per token.
        max_loss_difference: upper bound of the paired difference, nats per token.
        max_first_token_s: p95 of the probe set.
    """

    runtime: str = "openvino-genai"
    precision: str = "q8_0"
    max_logprob_difference: float = 0.08
    max_loss_difference: float = 0.03
    max_first_token_s: float = 10.0


def objection(order: Order) -> str | None:
    """Why an order's bounds hold nothing back; None when they do."""
    for name in ("max_logprob_difference", "max_loss_difference", "max_first_token_s"):
        value = getattr(order, name)
        if not (math.isfinite(value) and value > 0):
            return f"{name} is {value}, not a positive number"
    return None


def stale(built_version: str, current_version: str | None) -> bool:
    """Built for another version of its runtime than the one that runs.

    None: nobody here runs that runtime, so nobody here can say.
    """
    return current_version is not None and built_version != current_version


def failure_code(code: str) -> str:
    """The code an ended build is announced with; a lost or used-up build has crashed."""
    return "crashed" if code in {"", "exhausted", "undecodable"} else code
