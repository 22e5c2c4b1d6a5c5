"""Marks by folder, so that `-m unit` and `tests/unit` say the same."""

from pathlib import Path

import pytest

pytest_plugins = ["tests.spans", "tests.stack"]

FOLDERS = ("unit", "contract", "integration", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (folder := folder_of(item)) is not None:
            item.add_marker(folder)
    items.sort(key=lambda item: FOLDERS.index(folder_of(item) or FOLDERS[0]))  # fast ones first


def folder_of(item: pytest.Item) -> str | None:
    return next((part for part in Path(item.path).parts if part in FOLDERS), None)
