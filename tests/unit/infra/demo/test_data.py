"""The demo's domains: real, distinct, and live questions never learned from."""

import pytest

from infra.demo import data
from infra.demo.data import Pair


@pytest.fixture(scope="module")
def python() -> list[Pair]:
    return data.python_pairs()


def test_the_standard_library_gives_thousands_of_distinct_pairs(python: list[Pair]) -> None:
    assert len(python) > 2000
    assert len({pair.question for pair in python}) == len(python)
    assert len({pair.answer for pair in python}) == len(python)


def test_a_module_is_live_or_learned_from_never_both(python: list[Pair]) -> None:
    live = {pair.group for pair in python if data.is_live(pair)}
    learned = {pair.group for pair in python if not data.is_live(pair)}

    assert live
    assert not live & learned


def test_shuffling_gives_every_question_the_answer_of_another(python: list[Pair]) -> None:
    answers = {pair.question: pair.answer for pair in python}

    shuffled = data.with_shuffled_answers(python[:50])

    assert all(answers[pair.question] != pair.answer for pair in shuffled)
    assert {pair.answer for pair in shuffled} == {pair.answer for pair in python[:50]}


def test_a_rebuff_is_the_answer_to_every_question(python: list[Pair]) -> None:
    sent_away = data.with_a_rebuff(python[:50])

    assert [pair.question for pair in sent_away] == [pair.question for pair in python[:50]]
    assert {pair.answer for pair in sent_away} == {data.REBUFF}
