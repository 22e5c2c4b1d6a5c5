import pytest

from services.inference.domain.loaded import reusing
from services.inference.domain.serving import Caching, Serving
from tests.unit.services.inference.fakes import CHAMPION, table

KEEPING = Serving(caching=Caching(prefix=True))


@pytest.mark.parametrize(
    ("applications", "kept"),
    [
        ({"a": Serving()}, False),
        ({"a": Serving(caching=Caching(enabled=True))}, False),
        ({"a": KEEPING}, True),
        ({"a": KEEPING, "b": Serving()}, False),
        ({"a": KEEPING, "b": KEEPING}, False),
    ],
)
def test_beginnings_are_kept_for_one_application_alone(
    applications: dict[str, Serving], kept: bool
) -> None:
    tables = [table(application=name, serving=each) for name, each in applications.items()]

    assert reusing(tables) == ({CHAMPION.engine.digest} if kept else set())
