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
