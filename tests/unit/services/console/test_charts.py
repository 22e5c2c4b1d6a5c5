"""The charts' options."""

import json

from services.console.domain import charts
from tests.unit.services.console.fakes import signal, window


def test_the_threshold_is_at_one_whatever_the_detector() -> None:
    options = charts.drift([signal(6.0, 12.0), signal(5.0, 20.0)], dark=False)

    ends = [series["data"][-1][1] for series in options["series"]]
    assert ends == [0.5, 0.25]
    assert options["series"][0]["markLine"]["data"] == [{"yAxis": 1}]


def test_the_axis_reaches_an_alarm_that_went_far_beyond() -> None:
    options = charts.drift([signal(36.0, 12.0)], dark=False)

    assert options["yAxis"]["max"] >= 3


def test_latency_has_two_lines_a_release_and_no_empty_minutes() -> None:
    rows = [window("a" * 64, 0), window("a" * 64, 1, answered=0), window("b" * 64, 1)]

    series = charts.latency(rows, dark=True)["series"]

    assert [one["name"] for one in series] == [
        "aaaaaaaa p50", "aaaaaaaa p95", "bbbbbbbb p50", "bbbbbbbb p95"
    ]  # fmt: skip
    assert len(series[0]["data"]) == 1


def test_latency_is_not_drawn_across_minutes_without_answers() -> None:
    rows = [window("a" * 64, minute) for minute in (0, 1, 5, 6)]

    median, _ = charts.latency(rows, dark=False)["series"]

    assert [value for _, value in median["data"]] == [0.5, 0.5, None, 0.5, 0.5]
    assert not median["showSymbol"]


def test_a_minute_without_neighbours_is_a_point() -> None:
    rows = [window("a" * 64, minute) for minute in (0, 1, 5)]

    assert all(one["showSymbol"] for one in charts.latency(rows, dark=False)["series"])


def test_text_follows_the_theme_and_series_do_not() -> None:
    light, dark = (charts.drift([signal()], dark=one) for one in (False, True))

    assert light["legend"]["textStyle"] != dark["legend"]["textStyle"]
    assert light["series"][0]["itemStyle"] == dark["series"][0]["itemStyle"]


def test_options_are_json() -> None:
    assert json.dumps(charts.latency([window("a" * 64, 0)], dark=False))
