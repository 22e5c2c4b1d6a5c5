"""Tables for people."""

import pytest

from services.cli import show

FOUND = [
    {"application": "bank", "release": "r1", "signal": "length", "segment": "", "lost": 0},
    {"application": "bank", "release": "r2", "signal": "language", "segment": "", "lost": 0},
]


def test_a_table_leaves_out_what_nobody_has_and_names_in_its_title_what_all_share(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show.rows("signals", FOUND, as_json=False)

    title, *lines = capsys.readouterr().out.splitlines()
    assert title.strip() == "signals · bank"
    assert [cell.strip() for cell in lines[1].strip("┃").split("┃")] == [
        "release",
        "signal",
        "lost",
    ]


def test_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    show.rows("signals", FOUND, as_json=True)

    assert capsys.readouterr().out.count('"segment"') == 2


def test_rows_that_a_table_would_squeeze_are_told_a_line_for_each_field(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sentence = "Answers got slower: 31 % instead of 12 % of them took 760 ms or more. " * 3

    show.rows("alarms", [{"signal": "latency", "cause": "", "evidence": sentence}], as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in lines[:2]] == ["alarms", "signal    latency"]
    assert lines[2].startswith("evidence  Answers got slower: 31 % instead of 12 % of them")


@pytest.mark.parametrize("more", ["", "and so on " * 30])
def test_brackets_in_what_is_shown_are_no_markup(
    more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show.rows("alarms", [{"example": "What is [/b] or [red]?", "more": more}], as_json=False)

    assert "What is [/b] or [red]?" in capsys.readouterr().out
