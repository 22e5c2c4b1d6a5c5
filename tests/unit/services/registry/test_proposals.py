"""Prompts and proposals from topic to topic, over the SQL store."""

import pytest

from libs.events.topics import APPLICATION_APPLIED, CAMPAIGN_REQUESTED, ROUTING, TRAINING_REQUESTED
from libs.faults import Poison
from protos.common.v1 import common_pb2 as common
from protos.registry.v1 import registry_events_pb2 as pb
from services.registry.domain.policies import Serving
from services.registry.domain.values import Application, Prompt
from services.registry.handlers.lineage import trace
from services.registry.ports import Cut
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import BACKUP, BRIEF, Registry, champion, routes_of
from tests.unit.services.registry.traffic import promote, try_out


def test_another_prompt_is_tried_without_training_and_its_version_is_served(
    served: Registry,
) -> None:
    made = served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    before = champion(served)

    campaign_id = try_out(served, prompt_version=made.prompt.version)
    promote(served)

    after = champion(served)
    assert served.state(campaign_id) == "promoted"
    assert (before.prompt.version, after.prompt.version) == (1, 2)
    assert (after.prompt_template, after.engine) == (BRIEF, before.engine)
    assert len(served.broker.events(TRAINING_REQUESTED)) == 1
    assert list(served.replay(campaign_id).differences) == []
    assert trace(served.catalogue, after.digest).dataset.dataset_digest == "d1"


def test_a_promoted_prompt_becomes_the_declared_one(served: Registry) -> None:
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    try_out(served, prompt_version=2)
    promote(served)

    served.start()
    traffic.prepare(served, "d2")

    assert served.last(APPLICATION_APPLIED).application.prompt_template == BRIEF
    assert served.last(TRAINING_REQUESTED).prompt_template == BRIEF


def test_a_declaration_that_changed_meanwhile_is_left_alone(served: Registry) -> None:
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    try_out(served, prompt_version=2)
    served.desk.apply(Application(name="bank", prompt_template="Politely: {{ question }}"))
    promote(served)

    declared = served.last(APPLICATION_APPLIED).application

    assert declared.prompt_template == "Politely: {{ question }}"


def test_other_parameters_are_tried_on_the_same_engine(served: Registry) -> None:
    warmer = common.Decoding(max_tokens=64, temperature=0.7, top_p=0.9)

    campaign_id = try_out(served, decoding=warmer)

    (_, route) = served.last(ROUTING).routes
    assert (route.role, route.share, route.release.model_digest) == (pb.ROLE_CANARY, 0.5, "m1")
    assert route.release.decoding == warmer
    assert served.state(campaign_id) == "canary"


def test_an_earlier_release_can_be_tried_again(served: Registry) -> None:
    first = champion(served).digest
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    try_out(served, prompt_version=2)
    promote(served)

    try_out(served, release_digest=first)
    promote(served)

    assert champion(served).digest == first


@pytest.mark.parametrize(
    ("proposal", "why"),
    [
        (pb.Proposal(), "nothing in it differs"),
        (pb.Proposal(prompt_version=9), "prompt_version 9"),
        (pb.Proposal(release_digest="f" * 64), "no such release"),
        (pb.Proposal(decoding=common.Decoding(temperature=9)), r"decoding\.temperature"),
        (pb.Proposal(provider=common.Provider(name="nobody")), r"provider\.name"),
        (pb.Proposal(provider=common.Provider(name="backup"), rebuild=True), "rebuild"),
        (pb.Proposal(upgrade=True, prompt_version=1), "upgrade: goes alone"),
    ],
)
def test_a_proposal_that_cannot_be_made_is_refused_at_the_door(
    served: Registry, proposal: pb.Proposal, why: str
) -> None:
    with pytest.raises(Poison, match=why) as refused:
        served.start(proposal=proposal)

    assert refused.value.code == "bad_proposal"
    assert len(served.broker.events(CAMPAIGN_REQUESTED)) == 1


def test_without_a_champion_only_a_provider_or_a_release_can_be_proposed(
    registry: Registry,
) -> None:
    with pytest.raises(Poison, match="no champion yet"):
        registry.start(proposal=pb.Proposal(prompt_version=1))


def test_a_provider_can_be_the_first_release(registry: Registry) -> None:
    registry.desk.apply(Application(name="bank", serving=Serving(fallbacks=(BACKUP,))))

    campaign_id = registry.start(proposal=pb.Proposal(provider=common.Provider(name="backup")))
    traffic.load(registry)

    table = registry.last(ROUTING)
    assert registry.state(campaign_id) == "promoted"
    assert table.routes[0].release.engine.provider.model == "small-1"
    assert list(table.fallbacks) == []  # it is the champion already
    assert registry.replay(campaign_id).agrees


def test_prompts_are_numbered_and_the_same_one_is_the_same_version(registry: Registry) -> None:
    registry.desk.apply(Application(name="bank", prompt_template=BRIEF))
    again = registry.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    shorter = Prompt(template=BRIEF, max_characters=100)
    third = registry.library.create_prompt("bank", shorter, "Ada")

    found = registry.catalogue.prompts("bank", Cut(50, "")).items

    assert (again.prompt.version, third.prompt.version) == (2, 3)
    assert [(each.prompt.template, each.created_by) for each in found] == [
        ("", ""),
        (BRIEF, ""),
        (BRIEF, "Ada"),
    ]


def test_variables_are_empty_where_a_model_is_tuned(registry: Registry) -> None:
    toned = "{{ tone }}: {{ question }}"
    registry.desk.apply(Application(name="bank", prompt_template=toned, prompt_variables=("tone",)))

    registry.start()
    traffic.prepare(registry)
    traffic.train(registry, "m1")
    traffic.evaluate(registry)

    assert registry.last(TRAINING_REQUESTED).prompt_template == '{% set tone = "" %}' + toned
    staged = registry.last(ROUTING).routes[-1].release
    assert (staged.prompt_template, list(staged.prompt.variables)) == (toned, ["tone"])


def test_routes_of_a_proposal_leave_the_champion_alone(served: Registry) -> None:
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    try_out(served, prompt_version=2)

    traffic.canary(served, 120, harm=3.2)

    assert routes_of(served.last(ROUTING)) == [("m1", pb.ROLE_CHAMPION, 1.0)]
