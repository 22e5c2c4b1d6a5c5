"""Declared providers from topic to topic: who may answer when the champion can't."""

from dataclasses import replace

import pytest

from libs.events.topics import CAMPAIGN_REQUESTED, OPERATOR_ACTED, ROUTING
from libs.faults import NOT_FOUND, Poison
from protos.common.v1 import common_pb2 as common
from services.registry.domain.policies import Provider, Serving
from services.registry.domain.values import Application, Prompt
from services.registry.handlers.lineage import trace
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import BACKUP, BRIEF, Registry, champion
from tests.unit.services.registry.traffic import promote, try_out


def test_a_declared_fallback_does_not_answer_before_it_is_approved(served: Registry) -> None:
    table = served.last(ROUTING)

    assert list(table.fallbacks) == []
    assert [approval for _, approval in served.library.providers("bank")] == [None]
    assert table.serving.admission.concurrency == 32
    assert table.currency == "USD"


def test_a_person_may_vouch_for_a_fallback_on_the_record(served: Registry) -> None:
    served.library.approve("bank", "backup", "Ada", "our own gateway")
    served.settle()

    (fallback,) = served.last(ROUTING).fallbacks
    acted = served.last(OPERATOR_ACTED)
    assert (fallback.engine.provider.name, fallback.engine.provider.timeout_s) == ("backup", 30)
    assert fallback.prompt == champion(served).prompt
    assert (acted.provider, acted.operator, acted.reason) == ("backup", "Ada", "our own gateway")
    assert trace(served.catalogue, fallback.digest).release == fallback


def test_a_fallback_follows_the_champions_prompt(served: Registry) -> None:
    served.library.approve("bank", "backup", "Ada", "our own gateway")
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")

    try_out(served, prompt_version=2)
    promote(served)

    assert served.last(ROUTING).fallbacks[0].prompt.version == 2
    versions = [table.version for table in served.broker.events(ROUTING)]
    assert versions == list(range(1, len(versions) + 1))


def test_a_provider_that_came_through_its_canary_without_harm_is_a_fallback(
    served: Registry,
) -> None:
    campaign_id = try_out(served, provider=common.Provider(name="backup"))
    assert served.last(CAMPAIGN_REQUESTED).proposal.provider.model == "small-1"
    traffic.canary(served, 700)

    ((_, approval),) = served.library.providers("bank")
    assert served.state(campaign_id) == "rolled_back"
    assert approval is not None
    assert approval.campaign_id == campaign_id
    assert [each.engine.provider.name for each in served.last(ROUTING).fallbacks] == ["backup"]


def test_a_provider_that_harmed_is_no_fallback(served: Registry) -> None:
    try_out(served, provider=common.Provider(name="backup"))
    traffic.canary(served, 120, harm=3.2)

    assert list(served.last(ROUTING).fallbacks) == []


@pytest.mark.parametrize(
    "other", [replace(BACKUP, model="large-1"), replace(BACKUP, omit=("temperature",))]
)
def test_a_provider_that_answers_otherwise_needs_its_own_approval(
    served: Registry, other: Provider
) -> None:
    served.library.approve("bank", "backup", "Ada", "our own gateway")
    dearer = Provider("backup", BACKUP.base_url, BACKUP.model, 30.0, 9.0, 9.0)

    served.desk.apply(Application(name="bank", serving=Serving(fallbacks=(dearer,))))
    served.settle()
    kept = len(served.last(ROUTING).fallbacks)
    served.desk.apply(Application(name="bank", serving=Serving(fallbacks=(other,))))
    served.settle()

    assert (kept, len(served.last(ROUTING).fallbacks)) == (1, 0)


def test_an_undeclared_provider_cannot_be_approved(served: Registry) -> None:
    with pytest.raises(Poison) as refused:
        served.library.approve("bank", "nobody", "Ada", "because")

    assert refused.value.code == NOT_FOUND
