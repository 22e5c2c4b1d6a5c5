"""A release under watch, over synthetic traffic."""

from dataclasses import replace
from typing import Any

from services.monitor.domain.sample import Alarm
from services.monitor.domain.watch import Watch, watch

from .traffic import Traffic


def after(reference: int, traffic: Traffic, wanted: int = 300) -> Watch:
    found = watch("support", "release-1", wanted, 100_000)
    for _ in range(reference):
        assert found.observe(traffic.sample()) == []
    return found


def until_alarm(found: Watch, traffic: Traffic, most: int = 2_000, **shift: float) -> list[Alarm]:
    for _ in range(most):
        if alarms := found.observe(traffic.sample(**shift)):  # type: ignore[arg-type]
            return alarms
    return []


def quiet(found: Watch, traffic: Traffic, events: int, **known: Any) -> Watch:
    for _ in range(events):
        assert found.observe(replace(traffic.sample(), **known)) == []
    return found
