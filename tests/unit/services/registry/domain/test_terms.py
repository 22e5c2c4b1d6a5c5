"""Policies: their defaults, and a clear word on what they must not say."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from google.protobuf.json_format import ParseDict

from protos.registry.v1 import application_pb2
from services.registry.domain.application import complete
from services.registry.domain.bounds import Invalid
from services.registry.domain.policies import (
    Admission,
    Cache,
    EnginePolicy,
    Objective,
    Provider,
    Sentinel,
    Serving,
)
from services.registry.domain.values import Application, Decoding, Drift
from services.registry.wire.values import value

BANK = Application(name="bank")
BACKUP = Provider("backup", "https://api.example.com/v1", "small-1", 0.0, 0.15, 0.6)


def serving(**said: object) -> Application:
    return replace(BANK, serving=Serving(**said))  # type: ignore[arg-type]


def fallbacks(*providers: Provider) -> Application:
    return serving(fallbacks=providers)


def objective(**said: object) -> Application:
    known = Objective("latency", 2.0, 0.99)
    return replace(BANK, objectives=(replace(known, **said),))  # type: ignore[arg-type]


def test_policies_that_are_not_said_take_the_documented_defaults() -> None:
    full = complete(BANK)

    assert full.serving == Serving(
        Admission(32, 64, 10.0, 0.0, 0, 1.0),
        Cache(False, 600.0, 1000),
        (),
        Sentinel(300.0, (), 10_000.0),
    )
    assert full.engine == EnginePolicy("openvino-genai", "q8_0", 0.08, 0.03, 10.0)
    assert (full.currency, full.objectives) == ("USD", ())


def test_a_burst_is_ten_seconds_of_tokens() -> None:
    asked = serving(admission=Admission(tokens_per_s=40.5))

    assert complete(asked).serving.admission.burst_tokens == 405


def test_a_fallback_waits_thirty_seconds_and_an_objective_means_a_month() -> None:
    full = complete(replace(objective(), serving=Serving(fallbacks=(BACKUP,))))

    assert full.serving.fallbacks[0].timeout_s == 30
    assert full.objectives[0].period_s == 30 * 24 * 3600


def test_each_runtime_has_its_own_precision() -> None:
    gpu = complete(replace(BANK, engine=EnginePolicy(runtime="tensorrt-llm")))

    assert gpu.engine.precision == "bf16"


def test_layers_may_be_left_out_of_a_cpus_engine() -> None:
    pruned = complete(replace(BANK, engine=EnginePolicy(precision="q8_0-drop2")))

    assert pruned.engine.precision == "q8_0-drop2"


def test_completing_a_full_declaration_changes_nothing() -> None:
    full = complete(replace(objective(), serving=Serving(fallbacks=(BACKUP,))))

    assert complete(full) == full


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (serving(admission=Admission(weight=-1.0)), "serving.admission.weight"),
        (serving(admission=Admission(tokens_per_s=math.inf)), "serving.admission.tokens_per_s"),
        (serving(cache=Cache(ttl_s=math.nan)), "serving.cache.ttl_s"),
        (serving(sentinel=Sentinel(average_run_length=1.0)), "serving.sentinel.average_run_length"),
        (serving(sentinel=Sentinel(probes=("",))), "serving.sentinel.probes"),
        (fallbacks(BACKUP, BACKUP), "serving.fallbacks"),
        (fallbacks(replace(BACKUP, name="Backup")), "serving.fallbacks[0].name"),
        (fallbacks(BACKUP, replace(BACKUP, name="b", model="")), "serving.fallbacks[1].model"),
        (fallbacks(replace(BACKUP, base_url="ftp://x/v1")), "serving.fallbacks[0].base_url"),
        (fallbacks(replace(BACKUP, base_url="https://key@x/v1")), "serving.fallbacks[0].base_url"),
        (fallbacks(replace(BACKUP, base_url="https://x:y/v1")), "serving.fallbacks[0].base_url"),
        (fallbacks(replace(BACKUP, timeout_s=-1.0)), "serving.fallbacks[0].timeout_s"),
        (fallbacks(replace(BACKUP, prompt_cost=-1.0)), "serving.fallbacks[0].prompt_cost"),
        (
            fallbacks(replace(BACKUP, max_tokens_parameter="n_predict")),
            "serving.fallbacks[0].max_tokens_parameter",
        ),
        (fallbacks(replace(BACKUP, omit=("messages",))), "serving.fallbacks[0].omit"),
        (fallbacks(replace(BACKUP, omit=("seed", "seed"))), "serving.fallbacks[0].omit"),
        (fallbacks(replace(BACKUP, json="yaml")), "serving.fallbacks[0].json"),
        (replace(BANK, engine=EnginePolicy(runtime="cuda")), "engine.runtime"),
        (replace(BANK, engine=EnginePolicy(precision="fp8")), "engine.precision"),
        (replace(BANK, engine=EnginePolicy(precision="q8_0-drop0")), "engine.precision"),
        (
            replace(BANK, engine=EnginePolicy(runtime="tensorrt-llm", precision="fp8-drop2")),
            "engine.precision",
        ),
        (replace(BANK, engine=EnginePolicy(max_loss_difference=-1)), "engine.max_loss_difference"),
        (objective(name="speed"), "objectives[0].name"),
        (objective(threshold=0.0), "objectives[0].threshold"),
        (objective(name="errors"), "objectives[0].threshold"),
        (objective(target=1.0), "objectives[0].target"),
        (objective(period_s=1.0), "objectives[0].period_s"),
        (replace(BANK, drift=Drift(quiet_from_hour=24)), "drift.quiet_from_hour"),
        (replace(BANK, drift=Drift(cost_budget=-1.0)), "drift.cost_budget"),
        (replace(BANK, drift=Drift(first_run_s=1e8)), "drift.first_run_s"),
        (replace(BANK, drift=Drift(segment_labels=("a", "a"))), "drift.segment_labels"),
        (replace(BANK, decoding=Decoding(presence_penalty=3.0)), "decoding.presence_penalty"),
        (replace(BANK, currency="euro"), "currency"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(bad: Application, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        complete(bad)

    assert str(refused.value).split()[0].rstrip(":") == field


def test_the_declaration_of_the_runbook_is_accepted() -> None:
    runbook = (Path(__file__).parents[5] / "services/registry/README.md").read_text()
    shown = runbook.partition("```yaml\n")[2].partition("```")[0]
    message = ParseDict(yaml.safe_load(shown), application_pb2.Application())

    full = complete(value(Application, message))

    assert full.serving.fallbacks[0].name == "backup"
    assert [each.name for each in full.objectives] == ["time_to_first_token", "errors"]
