"""Campaign inputs for tests: a whole story, or one event at a time."""

import itertools
from dataclasses import replace

from services.registry.domain.application import complete
from services.registry.domain.campaign import Campaign
from services.registry.domain.commands import Command
from services.registry.domain.events import (
    Action,
    CampaignEvent,
    CanaryEvidence,
    Cause,
    DatasetVersioned,
    EngineBuilt,
    EngineLoaded,
    EvaluationCompleted,
    Observed,
    OperatorActed,
    Phase,
    Requested,
    Start,
    TrainingCompleted,
)
from services.registry.domain.releases import release_of
from services.registry.domain.step import step
from services.registry.domain.values import (
    Application,
    Artifact,
    Dataset,
    Engine,
    Evidence,
    Model,
    Release,
    Rollout,
)

CAMPAIGN = "c-1"
APPLICATION = complete(Application(name="bank"))
FILE = Artifact(uri="s3://perennial/sha256/aa", sha256="aa", size_bytes=1, media_type="x/y")
_numbers = itertools.count(1)


def cause(topic: str = "some.topic.v1", event_id: str = "") -> Cause:
    return Cause(topic, event_id or f"e-{next(_numbers):06d}")


def model(digest: str) -> Model:
    engine = Engine(digest=f"engine-{digest}", runtime="test", weights=FILE, tokenizer=FILE)
    return Model(digest=digest, base_digest="base", merged=FILE, engine=engine)


CHAMPION_MODEL = model("champion")
CHAMPION = release_of(APPLICATION, CHAMPION_MODEL)
CANDIDATE = model("candidate")
RELEASE = release_of(APPLICATION, CANDIDATE)


def with_rollout(rollout: Rollout) -> Application:
    return complete(replace(APPLICATION, rollout=rollout))


def start(
    application: Application = APPLICATION,
    champion: Release | None = CHAMPION,
    active: str = "",
    ordinal: int = 1,
    promotions: int = 0,
) -> Start:
    trained = CHAMPION_MODEL if champion else None
    return Start(application, 3, champion, trained, ordinal, promotions, active)


def requested(begun: Start | None = None, override: str = "", collection: str = "") -> Requested:
    return Requested(
        cause=cause(),
        campaign_id=CAMPAIGN,
        kind="operator",
        collection=collection,
        reason="requested by Ada",
        override_reason=override,
        start=begun or start(),
    )


def versioned() -> DatasetVersioned:
    return DatasetVersioned(cause(), CAMPAIGN, Dataset("d-1", FILE, FILE, FILE))


def trained() -> TrainingCompleted:
    return TrainingCompleted(cause(), CAMPAIGN, CANDIDATE)


def evaluated(passed: bool = True) -> EvaluationCompleted:
    gain = Evidence("bank.answer_loss", -0.6, -0.7, -0.5, 120)
    return EvaluationCompleted(
        cause(), CAMPAIGN, CANDIDATE.digest, passed, ("loss -0.60 [-0.70, -0.50]",), (gain,)
    )


BUILT = Engine(digest="engine-built", runtime="test", weights=FILE, tokenizer=FILE)


def trained_weights() -> TrainingCompleted:
    """A model whose engine is still to be built."""
    return TrainingCompleted(cause(), CAMPAIGN, replace(CANDIDATE, engine=None))


def built(passed: bool = True, of: Model = CANDIDATE) -> EngineBuilt:
    loss = Evidence("loss_difference", 0.004, -0.006, 0.013, 16)
    return EngineBuilt(
        cause(), CAMPAIGN, of.digest, BUILT, passed, ("loss +0.004 [-0.006, 0.013]",), (loss,)
    )


def to_building(begun: Start | None = None) -> list[CampaignEvent]:
    return [requested(begun), versioned(), trained_weights(), evaluated()]


def proposing(release: Release, **more: object) -> Start:
    return replace(start(), proposed=release, **more)  # type: ignore[arg-type]


def loaded(ready: bool = True, release: Release = RELEASE) -> EngineLoaded:
    reason = "" if ready else "out of memory"
    return EngineLoaded(cause(), CAMPAIGN, release.digest, "replica-0", ready, reason, 2.5)


def observed(phase: Phase = Phase.CANARY, share: float = 0.0, **figures: float) -> CanaryEvidence:
    counts: dict[str, float] = {
        "stage_answered": 0,
        "candidate_answered": 0,
        "candidate_failed": 0,
        "champion_answered": 0,
        "champion_failed": 0,
        "scored": 0,
        "difference": 0.0,
        "difference_lower": -1.0,
        "difference_upper": 1.0,
        "log_e_promote": 0.0,
        "log_e_rollback": 0.0,
        "candidate_latency_s": 0.5,
        "champion_latency_s": 0.5,
    }
    assert set(figures) <= set(counts)
    seen = Observed(phase=phase, share=share, **(counts | figures))  # type: ignore[arg-type]
    return CanaryEvidence(cause("monitor.canary-evidence.v1"), CAMPAIGN, seen)


def shadowed(answered: int = 20, failed: int = 0) -> CanaryEvidence:
    return observed(Phase.SHADOW, candidate_answered=answered, candidate_failed=failed)


def acted(action: Action) -> OperatorActed:
    return OperatorActed(cause(), CAMPAIGN, action, "Ada", "because")


def to_loading(begun: Start | None = None) -> list[CampaignEvent]:
    return [requested(begun), versioned(), trained(), evaluated()]


def to_shadow(begun: Start | None = None) -> list[CampaignEvent]:
    return [*to_loading(begun), loaded()]


def to_canary(begun: Start | None = None) -> list[CampaignEvent]:
    return [*to_shadow(begun), shadowed()]


def to_last_stage(begun: Start | None = None) -> list[CampaignEvent]:
    return [
        *to_canary(begun),
        observed(share=0.05, stage_answered=20, candidate_answered=1, champion_answered=19),
        observed(share=0.25, stage_answered=40, candidate_answered=11, champion_answered=49),
    ]


def better() -> CanaryEvidence:
    """Enough for a promotion in the last stage."""
    return observed(
        share=0.5,
        stage_answered=60,
        candidate_answered=41,
        champion_answered=79,
        scored=110,
        difference=0.08,
        difference_lower=-0.01,
        difference_upper=0.17,
        log_e_promote=4.9,
        log_e_rollback=-2.0,
    )


def run(events: list[CampaignEvent]) -> tuple[Campaign, list[Command]]:
    """The state after ``events``, and the commands of the last one."""
    state = Campaign(CAMPAIGN)
    commands: tuple[Command, ...] = ()
    for event in events:
        state, commands = step(state, event)
    return state, list(commands)
