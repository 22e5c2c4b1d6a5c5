"""Serving policies and external providers, out of the routing table."""

import math
import re
from typing import Final
from urllib.parse import urlsplit

from libs.faults import Poison
from protos.common.v1 import common_pb2
from protos.registry.v1 import application_pb2 as application
from services.inference.domain.release import Provider
from services.inference.domain.serving import Caching, Limits, Serving, Watching

NAME: Final = re.compile(r"[a-z0-9-]{1,63}")
BURST_S: Final = 10.0
"""Of ``tokens_per_s``, where no burst is given."""


def serving(policy: application.Serving) -> Serving:
    """The policy, with the default of whatever is absent."""
    return Serving(
        limits=_limits(policy.admission),
        caching=_caching(policy.cache),
        watching=_watching(policy.sentinel),
    )


def _limits(policy: application.Admission) -> Limits:
    usual = Limits()
    rate = _real(policy.tokens_per_s, 0.0)
    return Limits(
        concurrency=policy.concurrency or usual.concurrency,
        queue=policy.queue or usual.queue,
        max_wait_s=_real(policy.max_wait_s, usual.max_wait_s),
        tokens_per_s=rate,
        burst_tokens=float(policy.burst_tokens) or BURST_S * rate,
        weight=_real(policy.weight, usual.weight),
    )


def _caching(policy: application.Cache) -> Caching:
    usual = Caching()
    return Caching(
        enabled=policy.enabled,
        ttl_s=_real(policy.ttl_s, usual.ttl_s),
        entries=policy.entries or usual.entries,
        prefix=policy.prefix,
    )


def _watching(policy: application.Sentinel) -> Watching:
    usual = Watching()
    return Watching(
        every_s=_real(policy.every_s, usual.every_s),
        probes=tuple(policy.probes),
        average_run_length=max(_real(policy.average_run_length, usual.average_run_length), 2.0),
    )


def provider(message: common_pb2.Provider) -> Provider:
    """Who answers instead of an engine of our own.

    Raises:
        Poison: ``bad_routing``: a name, an address or a number that cannot be used.
    """
    if not NAME.fullmatch(message.name):
        raise Poison(f"provider name {message.name[:80]!r}", code="bad_routing")
    address = urlsplit(message.base_url)
    if address.scheme not in {"http", "https"} or not address.hostname or not message.model:
        raise Poison(f"provider {message.name}: its address or model", code="bad_routing")
    return Provider(
        name=message.name,
        base_url=message.base_url.rstrip("/"),
        model=message.model,
        timeout_s=_real(message.timeout_s, 30.0),
        prompt_cost=_real(message.prompt_cost, 0.0),
        completion_cost=_real(message.completion_cost, 0.0),
        max_tokens_parameter=message.max_tokens_parameter or "max_tokens",
        omit=frozenset(message.omit),
        json=message.json or "schema",
    )


def _real(value: float, usual: float) -> float:
    return value if math.isfinite(value) and value > 0 else usual
