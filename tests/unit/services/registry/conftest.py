from pathlib import Path

import pytest

from services.registry.domain.policies import Serving
from services.registry.domain.values import Application
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import BACKUP, Registry, registry_at


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_at(tmp_path)


@pytest.fixture
def served(registry: Registry) -> Registry:
    """With the model ``m1`` as champion, and a fallback declared."""
    registry.desk.apply(Application(name="bank", serving=Serving(fallbacks=(BACKUP,))))
    traffic.crown_first(registry)
    return registry
