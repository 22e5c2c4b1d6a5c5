"""A release under watch: its reference, what is left out, alarms and their evidence."""

from dataclasses import replace

import numpy as np
import pytest

from services.monitor.domain.fitting import MEAN_LOGPROB, PROMPT_EMBEDDING
from services.monitor.domain.ratings import SHARE
from services.monitor.domain.watch import watch

from .traffic import Traffic
from .watching import after, quiet, until_alarm


def test_the_reference_is_collected_before_anything_is_judged() -> None:
    traffic = Traffic(1)

    early, found = after(299, Traffic(1)), after(300, traffic)

    assert not early.watching
    assert found.watching
    assert found.collected == 300
    names = [signal.name for signal in found.signals]
    assert names == [PROMPT_EMBEDDING, MEAN_LOGPROB, "length", "broken_input", "duplicates"]
    assert found.signals[0].calibrated == 200
    assert found.signals[0].events == 0


def test_quiet_traffic_rings_nothing() -> None:
    for seed in range(3):
        after(1_500, Traffic(seed))


@pytest.mark.parametrize("seed", range(3))
def test_a_far_topic_rings_within_thirty_events_with_its_evidence(seed: int) -> None:
    traffic = Traffic(seed)
    found = after(600, traffic)

    [alarm] = until_alarm(found, traffic, far=True)

    assert (alarm.signal, alarm.cause, alarm.release) == (PROMPT_EMBEDDING, "input", "release-1")
    assert alarm.at_event <= 330
    assert alarm.statistic >= alarm.threshold
    assert alarm.reference_events == 300
    assert alarm.generation_id == f"generation-{traffic.made}"
    assert alarm.cells[0].growth > 0.05
    assert alarm.examples[0].startswith("far")
    assert len(alarm.examples) <= 5


def test_after_an_input_alarm_the_release_says_nothing_more() -> None:
    traffic = Traffic(4)
    found = after(400, traffic)
    until_alarm(found, traffic, far=True)

    assert until_alarm(found, traffic, most=300, far=True, logprob_shift=-1.0) == []


def test_one_event_per_episode_counts() -> None:
    traffic = Traffic(7)
    found = watch("support", "release-1", 300, 100_000)
    sample = traffic.sample()

    for _ in range(10):
        found.observe(sample)

    assert len(found.held.generations) == 1
    assert found.duplicates == 9


def test_an_answer_without_an_embedding_or_with_another_length_is_left_out() -> None:
    traffic = Traffic(8)
    found = watch("support", "release-1", 300, 100_000)
    found.observe(traffic.sample())

    for length in (0, 5):
        found.observe(replace(traffic.sample(), vector=np.ones(length, np.float16)))

    assert (found.unusable, len(found.held.generations)) == (2, 1)


def test_without_log_probabilities_the_prompts_are_watched_alone() -> None:
    traffic = Traffic(9)
    found = watch("support", "release-1", 300, 100_000)

    for _ in range(400):
        found.observe(replace(traffic.sample(), logprob=float("nan")))
    [alarm] = until_alarm(found, traffic, far=True)

    assert MEAN_LOGPROB not in [signal.name for signal in found.signals]
    assert alarm.cause == "input"


def test_equal_prompts_throughout_are_a_valid_reference() -> None:
    traffic = Traffic(10)
    found = watch("support", "release-1", 60, 100_000)
    same = traffic.sample().vector

    for _ in range(200):
        assert found.observe(replace(traffic.sample(), vector=same)) == []

    assert until_alarm(found, traffic, far=True)[0].cause == "input"


def test_what_the_reference_lacks_is_not_watched() -> None:
    found = quiet(watch("support", "release-1", 120, 100_000), Traffic(13), 150, cost=0.0)

    names = {signal.name for signal in found.signals}
    assert not names & {"language", "guard_verdict", "served_model", "latency", "retrieval_score"}
    assert "cost" not in names, "nothing has a price"


def test_the_shares_of_the_signals_make_one_budget() -> None:
    traffic = Traffic(14)
    found = watch("support", "release-1", 450, 100_000)
    languages = np.random.default_rng(1).choice(["en", "de"], size=450)
    for language in languages:
        found.observe(replace(traffic.sample(), language=str(language)))

    rates = [1 / signal.average_run_length for signal in found.signals]
    assert sum(rates) + SHARE / 200_000 == pytest.approx(1 / 200_000), "the rest is the ratings'"
    assert rates[0] > 0.4 * sum(rates)


def test_an_alarm_shows_the_words_and_the_prompts_before() -> None:
    traffic = Traffic(16)
    found = after(600, traffic)

    [alarm] = until_alarm(found, traffic, far=True)

    assert "far" in alarm.terms
    assert alarm.examples_before
    assert all(prompt.startswith("near") for prompt in alarm.examples_before)
    assert alarm.seed == found.seed


def test_without_embeddings_the_words_and_numbers_are_watched() -> None:
    traffic = Traffic(19)
    found = watch("support", "release-1", 120, 100_000)
    for _ in range(300):
        found.observe(replace(traffic.sample(), vector=np.zeros(0, np.float16)))

    assert [signal.name for signal in found.signals][:2] == [MEAN_LOGPROB, "length"]


def test_sticky_topics_lengthen_the_reference_and_say_so() -> None:
    traffic, held = Traffic(20), Traffic(21).sample()
    found = watch("support", "release-1", 90, 100_000)
    topics = np.repeat(np.arange(40) % 6, 12)
    for topic in topics:
        vector = traffic.centres[topic] + 0.7 * traffic.random.normal(size=len(held.vector))
        found.observe(replace(traffic.sample(), vector=vector.astype(np.float16)))
        if not found.watching and found.wanted > 90:
            break

    assert found.wanted == 180
    assert found.notes[0].startswith("prompt_embedding: too small")


def test_a_promise_for_this_very_reference_is_kept_by_another_detector() -> None:
    traffic = Traffic(23)
    found = watch("support", "release-1", 900, 10_000, conditional=True)
    for _ in range(1_000):
        assert found.observe(traffic.sample()) == []

    [alarm] = until_alarm(found, traffic, far=True)

    assert alarm.cause == "input"
    assert alarm.at_event < 200
