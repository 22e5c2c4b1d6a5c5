"""A seeded registry and monitor over gRPC, and ops ports: ``backends DIRECTORY`` serves them
and writes DIRECTORY/endpoints.json, so that the console can be looked at by itself."""

import asyncio
import json
import math
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import uuid_utils

from libs.runtime.config import DoorSettings
from libs.runtime.ops import OpsServer
from protos.monitor.v1 import monitor_service_pb2 as monitor_pb
from protos.monitor.v1 import monitor_service_pb2_grpc as monitor_grpc
from protos.monitor.v1.monitor_events_pb2 import VERDICT_RETRAIN, DecisionMade
from protos.registry.v1 import registry_events_pb2 as events_pb
from protos.registry.v1 import registry_service_pb2 as registry_pb
from protos.registry.v1 import registry_service_pb2_grpc as registry_grpc

APPLICATION = "support-answers"
OLD, NEW, WORSE = "4f1c92ab" * 8, "a83d07e5" * 8, "c0ffee12" * 8

Figure = tuple[str, float, float, float, int]
Step = tuple[str, float, float, str, str, list[Figure]]
"""State, seconds after the one before, share, reason, cause, figures."""
STORY: list[Step] = [
    ("requested", 0, 0, "drift on prompt embedding (input)", "monitor.retraining-triggered.v1",
     [("log statistic", 13.1, 0, 0, 1212), ("log threshold", 12.1, 0, 0, 0)]),
    ("preparing", 1, 0, "", "registry.campaign-requested.v1", [("new rows", 412, 0, 0, 412)]),
    ("training", 9, 0, "dataset 91be77a0 has 1,806 rows", "preprocessing.dataset-versioned.v1",
     [("train rows", 1625, 0, 0, 0), ("held-out rows", 181, 0, 0, 0)]),
    ("evaluating", 214, 0, "3 epochs, final loss 1.31 nats", "training.completed.v1", []),
    ("loading", 71, 0, "no segment is worse, python-docs gains", "evaluation.completed.v1",
     [("bank difference", 0.013, -0.021, 0.046, 96),
      ("python-docs difference", -0.62, -0.71, -0.53, 85)]),
    ("shadow", 12, 0, "engine answered its probe", "inference.engine-loaded.v1", []),
    ("canary", 38, 0.05, "21 mirrored answers, none failed", "monitor.canary-evidence.v1",
     [("candidate failed", 0, 0, 0, 21)]),
    ("canary", 44, 0.25, "stage complete", "monitor.canary-evidence.v1",
     [("score difference", 0.11, -0.06, 0.28, 64)]),
    ("canary", 61, 0.5, "stage complete", "monitor.canary-evidence.v1",
     [("score difference", 0.17, 0.04, 0.3, 151)]),
]  # fmt: skip


def stamp(target: Any, at: datetime) -> None:
    target.FromDatetime(at)


def campaign(
    kind: str, began: datetime, story: list[Step], outcome: str = ""
) -> registry_pb.Campaign:
    """A campaign that went through ``story``, step by step."""
    made = registry_pb.Campaign(
        campaign_id=str(uuid_utils.uuid7()),
        application=APPLICATION,
        kind=kind,
        state=story[-1][0],
        share=story[-1][2],
        outcome_reason=outcome,
    )
    stamp(made.started_at, began)
    at, before = began, ""
    for number, (state, after_s, share, reason, cause, figures) in enumerate(story, start=1):
        at += timedelta(seconds=after_s)
        step = made.transitions.add(
            campaign_id=made.campaign_id,
            application=APPLICATION,
            sequence=number,
            from_state=before,
            to_state=state,
            share=share,
            reason=reason,
            cause_topic=cause,
            cause_event_id=str(uuid_utils.uuid7()),
        )
        stamp(step.at, at)
        for name, value, lower, upper, n in figures:
            step.evidence.add(name=name, value=value, lower=lower, upper=upper, n=n)
        before = state
    return made


class SeededRegistry(registry_grpc.RegistryServiceServicer):
    def __init__(self) -> None:
        now = datetime.now(UTC)
        failed: Step = (
            "rejected", 66, 0, "python-docs is worse by more than the margin",
            "evaluation.completed.v1", [("bank difference", 0.91, 0.8, 1.03, 96)],
        )  # fmt: skip
        served: Step = ("promoted", 2, 1, "no champion yet", "inference.engine-loaded.v1", [])
        first = [*STORY[:6], served]
        self.campaigns = [
            campaign("operator", now - timedelta(minutes=47), first),
            campaign("operator", now - timedelta(minutes=22), [*STORY[:4], failed], failed[3]),
            campaign("retraining", now - timedelta(minutes=9), STORY),
        ]
        self.campaigns[-1].progress = "151 scored answers, 600 at most"

    async def ListApplications(self, request: Any, context: Any) -> Any:
        answer = registry_pb.ListApplicationsResponse()
        answer.applications.add(revision=3).application.name = APPLICATION
        return answer

    async def ListReleases(self, request: Any, context: Any) -> Any:
        """The champion is on the second page."""
        answer = registry_pb.ListReleasesResponse()
        roles = [
            (NEW, events_pb.ROLE_CANARY, 0.5),
            (WORSE, events_pb.ROLE_UNSPECIFIED, 0.0),
        ]
        if request.page_token:
            roles = [(OLD, events_pb.ROLE_CHAMPION, 0.5)]
        else:
            answer.next_page_token = "second"
        for digest, role, share in roles:
            entry = answer.releases.add(role=role, share=share)
            entry.release.digest = digest
            entry.release.application = APPLICATION
            entry.release.engine.digest = f"engine of {digest}"
            entry.created_at.GetCurrentTime()
        return answer

    async def ListEngines(self, request: Any, context: Any) -> Any:
        answer = registry_pb.ListEnginesResponse()
        for share in (0.9375, 0.5):
            built = answer.engines.add().built
            built.engine.digest = f"engine of {OLD}"
            built.identical_answers, built.repeated_answers = share, 16
        return answer

    async def ListCampaigns(self, request: Any, context: Any) -> Any:
        newest = self.campaigns[::-1][: request.page_size]
        return registry_pb.ListCampaignsResponse(campaigns=newest)


class SeededMonitor(monitor_grpc.MonitorServiceServicer):
    def __init__(self) -> None:
        self.chance = random.Random(7)

    async def ListSignals(self, request: Any, context: Any) -> Any:
        answer = monitor_pb.ListSignalsResponse()
        for name, digest, shifted, events in (
            ("prompt_embedding", OLD, 900, 1240),
            ("mean_logprob", OLD, 1000, 1240),
        ):
            signal = answer.signals.add(
                application=APPLICATION,
                release_digest=digest,
                name=name,
                phase="watching",
                reference_events=500,
                reference_wanted=500,
                events=events,
                threshold=12.1,
                average_run_length=100_000,
                alarms=int(name == "prompt_embedding"),
            )
            level, chance = 0.8, random.Random(name)
            for event in range(0, events - 500, 10):
                rising = 0.34 if event + 500 > shifted else 0.0
                pull = 0.0 if rising else -0.25 * (level - 0.8)
                level = max(
                    0.0,
                    level
                    + rising * (1.0 if name[0] == "p" else 0.4)
                    + pull
                    + chance.gauss(0, 0.22),
                )
                signal.history.add(event=event, statistic=level)
            signal.statistic = level
        answer.signals.add(
            application=APPLICATION, release_digest=NEW, name="prompt_embedding",
            phase="collecting reference", reference_events=187, reference_wanted=500,
        )  # fmt: skip
        return answer

    async def ListWindows(self, request: Any, context: Any) -> Any:
        answer = monitor_pb.ListWindowsResponse()
        start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=45)
        for digest, first, base in ((OLD, 0, 0.62), (NEW, 38, 0.66)):
            for minute in range(first, 46):
                busy = base * (1 + 0.15 * math.sin(minute / 5)) + self.chance.gauss(0, 0.02)
                window = answer.windows.add(
                    application=APPLICATION, release_digest=digest, answered=28,
                    latency_p50_s=busy, latency_p95_s=busy * 1.7 + self.chance.gauss(0, 0.05),
                )  # fmt: skip
                stamp(window.start, start + timedelta(minutes=minute))
        return answer

    async def ListAlarms(self, request: Any, context: Any) -> Any:
        answer = monitor_pb.ListAlarmsResponse()
        rang = answer.alarms.add(drift_event_id="alarm").detected
        rang.application, rang.release_digest = APPLICATION, OLD
        rang.signal, rang.cause, rang.confidence = "prompt_embedding", "input", 0.9
        rang.statistic, rang.threshold, rang.at_event = 13.1, 12.1, 412
        rang.cells.add(cell="topic 3", expected_share=0.02, observed_share=0.31)
        rang.examples.append("What does sorted() return?")
        rang.at.GetCurrentTime()
        return answer

    async def ListObjectives(self, request: Any, context: Any) -> Any:
        answer = monitor_pb.ListObjectivesResponse()
        standing = answer.objectives.add(
            application=APPLICATION, release_digest=OLD, name="latency", threshold=2.0,
            target=0.99, period_s=30 * 86400, answers=1240, bad=9, budget_left=0.27,
            asked="99 % of the answers take 2 s at most",
        )  # fmt: skip
        standing.burn_rates.add(
            severity="page", threshold=14.4, long_window_s=3600, short_window_s=300, long_rate=0.7
        )
        return answer

    async def ListDecisions(self, request: Any, context: Any) -> Any:
        decision = DecisionMade(application=APPLICATION, verdict=VERDICT_RETRAIN, cause="input")
        decision.at.GetCurrentTime()
        return monitor_pb.ListDecisionsResponse(decisions=[decision])

    async def GetScatter(self, request: Any, context: Any) -> Any:
        answer = monitor_pb.GetScatterResponse(release_digest=OLD)
        for cloud, centre in ((answer.reference, 0.0), (answer.recent, 1.2)):
            for _ in range(200):
                cloud.add(x=self.chance.gauss(centre, 0.7), y=self.chance.gauss(centre / 2, 0.5))
        return answer


@dataclass
class Backends:
    endpoints_file: Path
    registry: grpc.aio.Server
    monitor: grpc.aio.Server


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Backends]:
    """The seeded backends on free ports, with their endpoints file."""
    registry, monitor = grpc.aio.server(), grpc.aio.server()
    registry_grpc.add_RegistryServiceServicer_to_server(
        SeededRegistry(),  # type: ignore[abstract]  # the console asks for these only
        registry,
    )
    monitor_grpc.add_MonitorServiceServicer_to_server(SeededMonitor(), monitor)
    ports = [one.add_insecure_port("127.0.0.1:0") for one in (registry, monitor)]
    async with AsyncExitStack() as stack:
        for server in (registry, monitor):
            await server.start()
            stack.push_async_callback(server.stop, None)
        found = {"registry.rpc": f"127.0.0.1:{ports[0]}", "monitor.rpc": f"127.0.0.1:{ports[1]}"}
        for name, waiting in OPS.items():
            ops = await stack.enter_async_context(OpsServer(DoorSettings(port=0), _said(waiting)))
            port = ops._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            found[f"{name}.ops"] = f"127.0.0.1:{port}"
        found["trainer.ops"] = "127.0.0.1:9"
        file = directory / "endpoints.json"
        file.write_text(json.dumps(found))
        yield Backends(file, registry, monitor)


OPS: dict[str, list[str]] = {
    "evaluation": [],
    "feedback": [],
    "inference": [],
    "ingest": [],
    "monitor": [],
    "preprocessing": ["consumer.preprocessing: no partitions assigned yet"],
    "registry": [],
}  # fmt: skip


def _said(waiting: list[str]) -> Callable[[], list[str]]:
    return lambda: waiting


async def main(directory: Path) -> None:
    async with serving(directory):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
