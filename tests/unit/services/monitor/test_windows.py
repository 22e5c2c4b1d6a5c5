"""One release by the minute."""

import math
from dataclasses import replace

import numpy as np

from services.monitor.domain.generation import Generation
from services.monitor.domain.windows import KEPT, SAMPLED, Windows, refuses

PLAIN = Generation(
    generation_id="g",
    release="r",
    campaign="",
    role="champion",
    share=0.0,
    episode="e",
    prompt="p",
    answer="Sure.",
    tokens=7,
    first_token_s=0.1,
    latency_s=1.0,
    outcome="answered",
    vector=np.zeros(0, np.float16),
    logprob=math.nan,
    served_at=600.0,
)


def test_a_minute_counts_answers_failures_refusals_and_tokens() -> None:
    windows = Windows()

    windows.add(PLAIN)
    windows.add(replace(PLAIN, generation_id="h", refused=True))
    windows.add(replace(PLAIN, outcome="failed"))
    windows.add(replace(PLAIN, outcome="cancelled"))

    [minute] = windows.minutes
    assert minute.start == 600
    assert (minute.answered, minute.failed, minute.refused, minute.tokens) == (2, 1, 1, 14)


def test_quantiles_come_from_a_bounded_sample() -> None:
    windows = Windows()

    for number in range(2_000):
        windows.add(replace(PLAIN, generation_id=str(number), latency_s=number / 1_000))
    windows.settle()

    [minute] = windows.minutes
    assert minute.sampled is not None
    assert len(minute.sampled.marks) == SAMPLED
    assert abs(minute.latency_s[0] - 1.0) < 0.2
    assert abs(minute.latency_s[1] - 1.9) < 0.1


def test_sixty_minutes_are_kept_and_a_late_answer_finds_its_own() -> None:
    windows = Windows()

    for minute in range(100):
        windows.add(replace(PLAIN, served_at=minute * 60.0))
        windows.settle()
    windows.add(replace(PLAIN, served_at=50 * 60.0))
    windows.add(replace(PLAIN, served_at=0.0))

    starts = [minute.start for minute in windows.minutes]
    assert starts == [minute * 60 for minute in range(40, 100)]
    assert len(starts) == KEPT
    assert [minute.answered for minute in windows.minutes if minute.start == 3_000] == [2]
    assert windows.minutes[10].latency_s == [1.0, 1.0, 1.0]


def test_a_refusal_is_a_phrase_near_the_beginning() -> None:
    assert refuses("I cannot assist with that.")
    assert not refuses("x" * 300 + "I cannot assist with that.")
    assert not refuses("You can cancel the card in the app.")
