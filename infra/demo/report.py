"""What happened, as data: report.json."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from infra.demo.observe import Fact, Observer
from infra.demo.story import Step, Story
from libs.events.topics import DRIFT_DETECTED, EVALUATION_COMPLETED
from services.cli.lineage import lineage_of
from services.cli.reconcile import Balance, balances
from services.cli.show import as_dict


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the report is made of, read once."""

    story: Story
    facts: list[Fact]
    balances: list[Balance]
    replays: dict[str, bool]
    """Campaign -> whether recomputing it from the topics agrees."""


def read(story: Story) -> Findings:
    """Ask the services and the topics."""
    observer = story.observer
    replays = {
        campaign: bool(observer.replay(campaign).agrees) for campaign in story.campaigns.values()
    }
    return Findings(story, observer.facts(), balances(story.session), replays)


def report(found: Findings, closed: bool, error: str) -> dict[str, Any]:
    """The content of report.json."""
    story = found.story
    return {
        "closed": closed,
        "error": error,
        "application": story.application,
        "steps": [_step(step, found.facts) for step in story.steps],
        "alarms": _alarms(found),
        "campaigns": [
            _campaign(story.observer, role, campaign, found.replays.get(campaign))
            for role, campaign in story.campaigns.items()
        ],
        "evaluations": _evaluations(found.facts),
        "requests": _requests(story),
        "ratings": _ratings(story),
        "events": _events(found.balances),
        "lineage": _lineage(story),
    }


def _step(step: Step, facts: list[Fact]) -> dict[str, Any]:
    ended = step.started_at + timedelta(seconds=step.seconds)
    return {
        "name": step.name,
        "started_at": step.started_at.isoformat(),
        "seconds": round(step.seconds, 1),
        "done": step.done,
        "detail": step.detail,
        "error": step.error,
        "event_ids": [fact.event_id for fact in facts if _within(fact.at, step.started_at, ended)],
    }


def _within(at: datetime, start: datetime, end: datetime) -> bool:
    return start <= at <= end


def _alarms(found: Findings) -> list[dict[str, Any]]:
    story = found.story
    log = story.users.log if story.users else None
    return [
        {
            **as_dict(fact.event),
            "event_id": fact.event_id,
            "at_request": log.number_of(fact.event.generation_id) if log else None,
            "shifted_at_request": story.shifted_at_request,
        }
        for fact in found.facts
        if fact.topic == DRIFT_DETECTED.name and isinstance(fact.event, DRIFT_DETECTED.event)
    ]


def _campaign(
    observer: Observer, role: str, campaign_id: str, replay_agrees: bool | None
) -> dict[str, Any]:
    found = as_dict(observer.campaign(campaign_id))
    return {
        "id": campaign_id,
        "role": role,
        "kind": found["kind"],
        "states": [
            {
                "state": transition["to_state"],
                "at": transition.get("at"),
                "share": transition["share"],
                "reason": transition["reason"],
                "cause": transition["cause_topic"],
                "cause_event_id": transition["cause_event_id"],
                "evidence": transition["evidence"],
            }
            for transition in found["transitions"]
        ],
        "outcome": found["state"],
        "reason": found["outcome_reason"],
        "replay_agrees": replay_agrees,
    }


def _evaluations(facts: list[Fact]) -> list[dict[str, Any]]:
    return [
        {**as_dict(fact.event), "event_id": fact.event_id}
        for fact in facts
        if fact.topic == EVALUATION_COMPLETED.name
    ]


def _requests(story: Story) -> dict[str, int]:
    if story.users is None:
        return {"sent": 0, "answered": 0, "failed": 0}
    log = story.users.log
    return {"sent": log.sent, "answered": log.answered, "failed": log.failed}


def _ratings(story: Story) -> list[dict[str, Any]]:
    """Each answered request with its release, for the pictures."""
    asked = story.users.log.asked if story.users else []
    return [
        {
            "request": one.number,
            "segment": one.pair.segment,
            "release": one.release[:16],
            "rating": round(one.rating, 3),
        }
        for one in sorted(asked, key=lambda one: one.number)
        if one.rating is not None
    ]


def _events(found: list[Balance]) -> dict[str, Any]:
    """Deliveries due against deliveries settled, over every topic and each of its consumers."""
    by_topic = {one.topic: one for one in found}
    return {
        "produced": sum(one.produced for one in found),
        "settled": sum(one.settled for one in found),
        "dead_lettered": sum(one.dead_lettered for one in by_topic.values()),
        "lost": sum(one.lost for one in by_topic.values()),
        "by_topic": [
            {
                "topic": one.topic,
                "consumer": one.consumer,
                "produced": one.produced,
                "settled": one.settled,
                "lag": one.lag,
            }
            for one in found
        ],
    }


def _lineage(story: Story) -> list[dict[str, Any]]:
    """An answer of each release that served, at most three, back to training rows."""
    chosen: dict[str, str] = {}
    for one in story.users.log.asked if story.users else []:
        if one.generation_id:
            chosen.setdefault(one.release[:16], one.generation_id)
    return [lineage_of(story.session, generation) for generation in list(chosen.values())[:3]]
