"""The stored states as the operator's door shows them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from protos.monitor.v1 import monitor_service_pb2 as pb
from services.monitor.domain import fleet
from services.monitor.domain.application import Application
from services.monitor.domain.fitting import PROMPT_EMBEDDING
from services.monitor.domain.pace import Pace
from services.monitor.domain.ratings import FEEDBACK, Ratings
from services.monitor.domain.release import Release
from services.monitor.domain.scatter import POINTS, Plane
from services.monitor.domain.signal import Signal
from services.monitor.domain.strata import WEEK_S
from services.monitor.domain.watch import Watch
from services.monitor.domain.windows import Minute
from services.monitor.wire import outgoing

Digest = str

SILENCED = "an alarm of the same kind waits for a new reference"


def bar(states: Sequence[Application]) -> float:
    """What a signal's statistic must be above its threshold, to stand among all that is watched."""
    streams = [release.signals for state in states for release in state.releases.values()]
    return fleet.bar([max(each.margin for each in stream) for stream in streams if stream])


def signals(state: Application, history: bool, least: float) -> Iterator[pb.Signal]:
    """``least``: `bar` of all applications."""
    for release in state.releases.values():
        if (watch := release.watch) is not None:
            if not watch.signals:
                yield _collecting(state.name, watch, state.pace)
            for each in watch.signals:
                found = _signal(state.name, watch, each, state.pace, history)
                found.stands = each.margin >= least
                yield found
        if release.ratings is not None:
            yield _rated(state.name, release.ratings, history, least)


def _collecting(name: str, watch: Watch, pace: Pace) -> pb.Signal:
    return pb.Signal(
        application=name,
        release_digest=watch.release,
        name=PROMPT_EMBEDDING,
        phase="collecting reference",
        reference_events=watch.progress,
        reference_wanted=watch.wanted,
        events=watch.progress,
        average_run_length=watch.average_run_length,
        duplicates=watch.duplicates,
        unusable=watch.unusable,
        copies=watch.copies,
        notes=[*watch.remarks, *_awaited(watch)],
        skipped=pace.skipped,
        stride=pace.stride,
    )


def _awaited(watch: Watch) -> list[str]:
    """Until when a seasonal reference lasts, and why so long."""
    if not watch.seasonal or not watch.began:
        return []
    until = datetime.fromtimestamp(watch.began + WEEK_S, UTC)
    return [
        f"silent until {until:%F %R} UTC, or until each kind of hours (a quarter of a weekday, or "
        "of a day of the weekend) has reference rows of its own"
    ]


def _signal(name: str, watch: Watch, signal: Signal, pace: Pace, history: bool) -> pb.Signal:
    silenced = [SILENCED] if _silenced(watch, signal) else []
    found = pb.Signal(
        application=name,
        release_digest=watch.release,
        name=signal.name,
        phase=_phase(watch, signal),
        reference_events=watch.collected,
        reference_wanted=watch.wanted,
        events=watch.collected + signal.events,
        statistic=signal.statistic,
        threshold=signal.threshold,
        average_run_length=watch.average_run_length,
        alarms=int(signal.alarmed),
        duplicates=watch.duplicates,
        cause=signal.cause,
        segment=signal.segment,
        unusable=watch.unusable,
        copies=watch.copies,
        notes=[*watch.remarks, *silenced],
        skipped=pace.skipped,
        stride=pace.stride,
    )
    if history:
        found.history.extend(_points_of(signal))
    return found


def _rated(name: str, rated: Ratings, history: bool, least: float) -> pb.Signal:
    """Its events are ratings."""
    found = pb.Signal(
        application=name,
        release_digest=rated.release,
        name=FEEDBACK,
        phase="collecting reference",
        reference_events=rated.collected,
        reference_wanted=rated.wanted,
        events=rated.collected,
        average_run_length=rated.average_run_length,
        duplicates=rated.duplicates,
        cause="behaviour",
    )
    if (signal := rated.signal) is not None:
        found.phase = "alarmed" if signal.alarmed else "watching"
        found.events += signal.events
        found.statistic, found.threshold = signal.statistic, signal.threshold
        found.alarms, found.stands = int(signal.alarmed), signal.margin >= least
        found.history.extend(_points_of(signal) if history else ())
    return found


def _points_of(signal: Signal) -> Iterator[pb.SignalPoint]:
    rows = zip(*signal.history, strict=True)
    return (pb.SignalPoint(event=int(event), statistic=float(value)) for event, value in rows)


def _silenced(watch: Watch, signal: Signal) -> bool:
    """Its alarm would say once more what one of the input has said."""
    return watch.latched and signal.cause == "input" and not (signal.alarmed or signal.intake)


def _phase(watch: Watch, signal: Signal) -> str:
    if not watch.watching:
        return "collecting reference"
    if signal.alarmed:
        return "alarmed"
    return "silenced" if _silenced(watch, signal) else "watching"


def windows(state: Application) -> Iterator[pb.Window]:
    for digest, release in state.releases.items():
        for minute in release.windows.minutes:
            yield _window(state.name, digest, minute)


def _window(name: str, digest: str, minute: Minute) -> pb.Window:
    latency, first, per_token = minute.latency_s, minute.first_token_s, minute.per_token_s
    return pb.Window(
        application=name,
        release_digest=digest,
        start=outgoing.timestamp(minute.start),
        answered=minute.answered,
        failed=minute.failed,
        refused=minute.refused,
        completion_tokens=minute.tokens,
        latency_p50_s=latency[0],
        latency_p95_s=latency[1],
        latency_p99_s=_third(latency),
        time_to_first_token_p50_s=first[0],
        time_to_first_token_p95_s=first[1],
        time_to_first_token_p99_s=_third(first),
        time_per_output_token_p50_s=per_token[0],
        time_per_output_token_p95_s=per_token[1],
        time_per_output_token_p99_s=_third(per_token),
        blocked=minute.blocked,
        cached=minute.cached,
        cost=minute.cost,
        tokens_per_s=minute.tokens / minute.seconds if minute.seconds else 0.0,
    )


def _third(quantiles: Sequence[float]) -> float:
    """A minute that was stored before there was a p99 has none."""
    return quantiles[2] if len(quantiles) > 2 else 0.0


def alarms(state: Application) -> Iterator[pb.Alarm]:
    for heard in state.inquiry.alarms:
        found = pb.Alarm(
            detected=outgoing.drift_detected(state.name, heard.rang),
            drift_event_id=heard.rang.event_id,
        )
        if heard.attributed is not None:
            found.attributed.CopyFrom(outgoing.cause_attributed(state.name, heard.attributed))
        yield found


def objectives(state: Application) -> Iterator[pb.ObjectiveStanding]:
    for digest, release in state.releases.items():
        yield from _standings(state, digest, release)


def _standings(
    state: Application, digest: Digest, release: Release
) -> Iterator[pb.ObjectiveStanding]:
    ledger = release.ledger
    for column, objective in enumerate(state.declared.objectives):
        total, missed = ledger.period(column, objective, state.clock)
        found = pb.ObjectiveStanding(
            application=state.name,
            release_digest=digest,
            name=objective.name,
            threshold=objective.threshold,
            target=objective.target,
            period_s=objective.period_s,
            answers=total,
            bad=missed,
            budget_left=ledger.budget_left(column, objective, state.clock),
            burn_rates=[
                outgoing.burn_rate(burn) for burn in ledger.burns(column, objective, state.clock)
            ],
            at=outgoing.timestamp(state.clock),
            asked=objective.asked(state.declared.currency),
        )
        standing = ledger.standings.get(objective.key)
        if standing is not None and standing.severity:
            found.severity = standing.severity
            found.since.CopyFrom(outgoing.timestamp(standing.since))
        yield found


def scatter(release_digest: Digest, release: Release | None) -> pb.GetScatterResponse:
    """Empty before the reference's fit, and for prompts without embeddings."""
    found = pb.GetScatterResponse(release_digest=release_digest)
    watch = release.watch if release is not None else None
    fit = watch.fit if watch is not None else None
    if watch is None or fit is None or fit.embedding is None or not watch.scatter.axes.size:
        return found
    rows = np.asarray(fit.embedding.rows[:POINTS], np.float32)
    found.reference.extend(_points(rows @ watch.scatter.axes.T))
    found.recent.extend(_points(watch.scatter.latest()))
    return found


def _points(plane: Plane) -> Iterator[pb.ScatterPoint]:
    return (pb.ScatterPoint(x=float(x), y=float(y)) for x, y in plane)
