import math
from dataclasses import replace

import pytest

from services.registry.domain.application import complete
from services.registry.domain.bounds import Invalid
from services.registry.domain.values import (
    Application,
    Decoding,
    Drift,
    Rollout,
    Stage,
)

BANK = Application(name="bank")


def test_what_is_not_said_takes_the_documented_defaults() -> None:
    full = complete(BANK)

    assert full.rollout == Rollout(
        shadow_requests=20,
        shadow_share=0.5,
        stages=(Stage(0.05, 20), Stage(0.25, 40), Stage(0.5, 0)),
        margin=0.05,
        alpha=0.05,
        max_scored=600,
    )
    assert full.drift == Drift(500, 100_000.0, 200, 0.0, 10)
    assert (full.gate.worse_margin, full.gate.least_gain) == (0.08, 0.10)


def test_completing_twice_changes_nothing() -> None:
    assert complete(complete(BANK)) == complete(BANK)


def test_what_is_said_stays() -> None:
    said = replace(BANK, rollout=Rollout(stages=(Stage(0.5, 0),), alpha=0.01))

    assert complete(said).rollout.stages == (Stage(0.5, 0),)
    assert complete(said).rollout.alpha == 0.01


@pytest.mark.parametrize("name", ["", "Bank", "-bank", "bank-", "b_k", "b" * 64, "bank\n"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="name"):
        complete(Application(name=name))


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ question", "compile"),
        ("{% for x in %}", "compile"),
        ("{{ question }} {{ secret }}", "secret"),
        ("no use of it", "question"),
        ("{{ question|nosuchfilter }}", "compile"),
        ("x" * 20_000 + "{{ question }}", "characters"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_refused(template: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        complete(replace(BANK, prompt_template=template))


def test_a_template_over_the_question_is_accepted() -> None:
    complete(replace(BANK, prompt_template="Answer briefly.\n{{ question | trim }}"))


@pytest.mark.parametrize(
    "bad",
    [
        replace(BANK, rollout=Rollout(alpha=math.nan)),
        replace(BANK, rollout=Rollout(alpha=0.9)),
        replace(BANK, rollout=Rollout(stages=(Stage(0.6, 0),))),
        replace(BANK, rollout=Rollout(stages=(Stage(0.5, 0), Stage(0.25, 0)))),
        replace(BANK, decoding=Decoding(temperature=-1.0)),
        replace(BANK, decoding=Decoding(max_tokens=1_000_000)),
        replace(BANK, drift=Drift(reference_events=3)),
    ],
)
def test_numbers_out_of_bounds_are_refused(bad: Application) -> None:
    with pytest.raises(Invalid):
        complete(bad)
