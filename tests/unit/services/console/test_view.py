"""A snapshot, told."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.console.domain import view
from services.console.domain.snapshot import Answer, Evidence, Health, Snapshot, State, Topic
from services.console.domain.view import EVERY, Tone
from tests.unit.services.console.fakes import NOON, campaign, release, signal, transition


def test_the_way_shows_what_is_behind_now_and_ahead() -> None:
    way = view.stages(campaign("requested", "preparing", "training"))

    assert [stage.tone for stage in way] == [Tone.GOOD, Tone.GOOD, Tone.BUSY, *[Tone.CALM] * 6]
    assert way[-1].name == "promoted"


def test_the_way_begins_with_the_request_and_leaves_out_what_was_passed_over() -> None:
    shadow, promoted = campaign("building", "shadow"), campaign("building", "loading", "promoted")

    way = [(stage.name, stage.tone) for stage in view.stages(shadow)]

    assert way == [
        ("requested", Tone.GOOD), ("building", Tone.GOOD), ("shadow", Tone.BUSY),
        ("canary", Tone.CALM), ("promoted", Tone.CALM),
    ]  # fmt: skip
    assert {stage.tone for stage in view.stages(promoted)} == {Tone.GOOD}


def test_a_canary_tells_its_share() -> None:
    way = view.stages(campaign("requested", "canary", share=0.25))

    assert [stage.hint for stage in way if stage.tone is Tone.BUSY] == ["25 % of traffic"]


def test_a_campaign_rejected_after_evaluation_ends_badly_and_skips_the_rest() -> None:
    way = view.stages(campaign("requested", "preparing", "training", "evaluating", "rejected"))

    tones = {stage.name: stage.tone for stage in way}
    assert (tones["rejected"], tones["canary"]) == (Tone.BAD, Tone.CALM)
    assert "promoted" not in tones


def test_moments_are_newest_first_with_the_time_between() -> None:
    interval = Evidence("score_difference", 0.17, 0.04, 0.3, 151)
    whole = replace(
        campaign("requested"),
        transitions=(
            transition(1, "shadow", 0),
            transition(2, "canary", 120, 0.05, interval),
        ),
    )

    newest, oldest = view.moments(whole)

    assert (newest.title, newest.took) == ("canary at 5 %", "2 min")
    assert newest.evidence == ("score difference 0.17 [0.04, 0.3], n = 151",)
    assert (newest.tone, oldest.tone) == (Tone.BUSY, Tone.GOOD)


def test_the_champion_has_what_the_canary_leaves() -> None:
    bar = view.slices(
        [release("b" * 64, "canary", 0.25), release("a" * 64, "champion", 0.0),
         release("c" * 64, "shadow", 0.5), release("d" * 64, "", 0.0)]
    )  # fmt: skip

    assert [(part.role, part.width) for part in bar] == [
        ("champion", 75.0), ("canary", 25.0), ("shadow", 0.0)
    ]  # fmt: skip


def test_a_release_says_how_often_its_engine_repeated_itself() -> None:
    gated = replace(release("a" * 64, "champion", 0.0), identical=0.9375, repeated=16)

    [part] = view.slices([gated])

    assert part.note == "of episodes answered · 93.8 % of repeats identical"


def test_services_that_need_attention_come_first() -> None:
    rows = view.service_rows(
        [Health("a", State.READY), Health("b", State.AWAY, "gone"), Health("c", State.WAITING, "x")]
    )

    assert rows == (("b", Tone.BAD, "gone"), ("c", Tone.WARN, "x"), ("a", Tone.GOOD, "ready"))


def test_topics_that_carry_events_come_first_with_their_lag() -> None:
    rows = view.topic_rows(
        [Topic("a", 0, 0), Topic("b", 3, 1, {"slow": 1200, "quick": 0})]
    )  # fmt: skip

    assert [row["topic"] for row in rows] == ["b", "a"]
    assert (rows[0]["lag"], rows[0]["groups"]) == (1200, "slow 1,200, quick")


def test_only_the_groups_furthest_behind_are_named() -> None:
    lags = {f"group-{n}": n for n in range(7)}

    (row,) = view.topic_rows([Topic("a", 9, 0, lags)])

    assert row["groups"] == "group-6 6, group-5 5, group-4 4, group-3 3, 3 more"


def test_campaigns_are_those_of_the_application_newest_first() -> None:
    old, new = campaign("promoted"), campaign("canary", began=NOON + timedelta(hours=1))
    other = replace(new, application="shop")

    assert view.of([old, other, new], "bank") == (new, old)
    assert len(view.of([old, other, new], EVERY)) == 3


def test_an_empty_platform_has_calm_tiles() -> None:
    tiles = view.tiles(Snapshot(), EVERY)

    assert [tile.label for tile in tiles] == [
        "Services", "Champion", "Campaign", "Drift alarms", "Dead letters"
    ]  # fmt: skip
    assert Tone.BAD not in {tile.tone for tile in tiles}


def test_every_backend_that_is_away_is_named_on_its_tile() -> None:
    gone: Snapshot = Snapshot(
        at=NOON,
        topics=Answer(away="x"),
        releases=Answer(away="x"),
        campaigns=Answer(away="x"),
        signals=Answer(away="x"),
    )

    tiles = view.tiles(gone, EVERY)

    assert [tile.value for tile in tiles[1:]] == ["?"] * 4
    assert {tile.tone for tile in tiles[1:]} == {Tone.BAD}


def test_alarms_of_other_applications_are_not_counted() -> None:
    seen = Snapshot(at=NOON, signals=Answer((signal(), replace(signal(), application="shop"))))

    tile = view.tiles(seen, "bank")[3]

    assert (tile.value, tile.tone) == ("1", Tone.WARN)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "under 1 s"), (61, "61 s"), (600, "10 min"), (7200, "2 h")]
)
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert view.span(seconds) == said
