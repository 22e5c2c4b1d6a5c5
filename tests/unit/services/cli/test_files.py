"""What a person types or hands in, and what the command makes of it."""

from pathlib import Path

import pytest

from libs.faults import Poison
from services.cli.applications import read_application
from services.cli.lineage import nearest_rows


def test_an_application_is_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text("name: support\nrollout: {stages: [{share: 0.05, requests: 20}]}\n")

    application = read_application(path)

    assert application.name == "support"
    assert application.rollout.stages[0].requests == 20


def test_a_misspelt_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text("name: support\nprompt_templat: a\n")

    with pytest.raises(Poison, match=r"(?s)prompt_templat\W.*'prompt_template', "):
        read_application(path)


def test_the_nearest_rows_share_the_most_words() -> None:
    rows = [{"prompt": "close my account"}, {"prompt": "open a window"}, {"prompt": "my card"}]

    nearest = nearest_rows("how do I close my account", rows, 2)

    assert [row["prompt"] for row in nearest] == ["close my account", "my card"]
