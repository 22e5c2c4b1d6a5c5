"""The drift page's words, order and charts."""

import json
from dataclasses import replace

import pytest

from services.console.domain import drift_charts, drift_view
from services.console.domain.snapshot import Scatter
from services.console.domain.view import EVERY, Tone
from tests.unit.services.console.fakes import alarm, decision, objective, signal


def test_the_signal_nearest_to_its_own_threshold_comes_first() -> None:
    far, near = signal(9.0, 20.0), replace(signal(6.0, 8.0), segment="language=de")

    assert drift_view.ranked([far, near], EVERY) == (near, far)


def test_a_search_needs_all_its_words() -> None:
    german = replace(signal(), segment="language=de")

    assert drift_view.ranked([signal(), german], EVERY, "PROMPT de") == (german,)
    assert drift_view.ranked([german], EVERY, "length de") == ()


def test_a_release_tells_how_much_of_its_reference_it_has_given() -> None:
    collecting = replace(signal(), history=(), reference_events=37, reference_wanted=240)
    behind = replace(collecting, name="refusal", reference_events=2)
    rated = replace(collecting, name="feedback", reference_events=100, reference_wanted=200)
    other = replace(collecting, release_digest="b" * 64, reference_events=120)
    watching = (
        replace(collecting, release_digest="c" * 64),
        replace(signal(), release_digest="c" * 64),
    )

    found = drift_view.references([behind, rated, collecting, other, *watching], "bank")

    assert [(one.release, one.done, one.share) for one in found] == [
        ("bank · bbbbbbbb", "120 of 240 answers", 0.5),
        ("bank · rrrrrrrr", "37 of 240 answers", 37 / 240),
    ]
    assert drift_view.references([collecting], "support") == ()


@pytest.mark.parametrize(
    ("known", "search", "told"),
    [(3, "oops", "matches the search"), (0, "", "no traffic"), (0, "oops", "no traffic")],
)
def test_an_empty_table_says_why(known: int, search: str, told: str) -> None:
    assert told in drift_view.no_signal(known, search)


def test_another_application_is_not_shown() -> None:
    assert drift_view.ranked([signal()], "support") == ()
    assert drift_view.alarm_cards([alarm()], "support") == ()


def test_a_signal_says_what_it_left_out_and_why_it_is_silent() -> None:
    row = drift_view.signal_row(
        replace(signal(), notes=("90 rows are too few",), left_out=1200, skipped=5)
    )

    assert row.notes == "90 rows are too few; 1,200 left out; 5 skipped"


def test_a_signal_that_stands_in_the_fleet_is_told_first() -> None:
    row = drift_view.signal_row(replace(signal(), stands=True, skipped=5))

    assert row.notes == "stands among all signals; 5 skipped"


def test_a_signal_turns_from_good_to_warn_to_bad() -> None:
    tones = [drift_view.signal_row(signal(value, 12.0)).tone for value in (1.0, 7.0, 13.0)]

    assert tones == [Tone.GOOD, Tone.WARN, Tone.BAD]


def test_an_open_case_says_that_it_waits() -> None:
    newest, oldest = drift_view.alarm_cards([alarm(0), alarm(60, attributed=False)], EVERY)

    assert newest.certainty == "93 % sure, more answers are awaited"
    assert (oldest.cause, oldest.cells) == ("input", (("topic 3", "2 %", "31 %"),))


def test_a_broken_objective_stands_before_one_that_is_kept() -> None:
    rows = drift_view.objective_rows(
        [objective("errors"), objective("latency", "page", -0.4)], EVERY
    )

    assert [row.tone for row in rows] == [Tone.BAD, Tone.GOOD]
    assert rows[0].asked == "99 % of the answers take 2 s at most, over 30 days"
    assert rows[0].seen == "98.8 % of 1,000"
    assert rows[0].burns == (("60 min and 5 min: 16.2x and 20.0x of 14.4x", Tone.BAD),)


def test_a_decision_tells_its_price() -> None:
    [row] = drift_view.decision_rows([decision("wait_for_labels")], EVERY)

    assert (row.verdict, row.tone) == ("wait for labels", Tone.WARN)
    assert "210 of 200 new rows" in row.figures
    assert "costs 0.05" in row.figures


def test_each_signal_has_its_threshold_in_its_own_colour() -> None:
    options = drift_charts.evidence([signal(6.0, 12.0), signal(5.0, 23.0)], dark=False)

    first, second = options["series"]
    assert first["markLine"]["data"] == [{"yAxis": 5.212}]
    assert second["markLine"]["lineStyle"]["color"] == second["lineStyle"]["color"]
    assert options["yAxis"]["max"] >= 10


def test_the_plane_without_a_reference_draws_nothing() -> None:
    assert drift_charts.plane(Scatter(), dark=True)["series"] == []


def test_options_are_json() -> None:
    assert json.dumps(drift_charts.plane(Scatter(((0.1, 0.2),), ((1.0, 2.0),)), dark=False))
