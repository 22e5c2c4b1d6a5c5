"""Everybody knows how a campaign can end."""

from collections.abc import Set as AbstractSet

import pytest

from infra.demo import observe
from services.cli import campaigns
from services.console.domain import view
from services.registry.domain.campaign import ENDS
from services.trainer.handlers import engines


@pytest.mark.parametrize(
    "known",
    [observe.ENDED, campaigns.ENDED, engines.ENDS, view.BAD_ENDS | {view.GOOD_END}],
    ids=["demo", "command", "trainer", "console"],
)
def test_the_ends_of_a_campaign_are_the_registrys(known: AbstractSet[str]) -> None:
    assert known == {end.value for end in ENDS}
