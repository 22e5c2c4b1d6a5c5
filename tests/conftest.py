"""Marks by folder, so that `-m unit` and `tests/unit` say the same."""

from pathlib import Path

import pytest

pytest_plugins = ["tests.stack"]

FOLDERS = ("unit", "contract", "integration", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = next((part for part in Path(item.path).parts if part in FOLDERS), None)
        if folder is not None:
            item.add_marker(folder)
