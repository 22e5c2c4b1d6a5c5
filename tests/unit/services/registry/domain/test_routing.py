from services.registry.domain.commands import Crown, Expose, Role, Withdraw
from services.registry.domain.routing import Table, route, with_keys
from tests.unit.services.registry.stories import CHAMPION, RELEASE

CHAMPIONS = Table("bank", version=4, keys=("k",), champion=CHAMPION)
CANARY = route(CHAMPIONS, "c-1", Expose(RELEASE, Role.CANARY, 0.25))


def test_a_canary_draws_its_episodes_with_its_own_salt() -> None:
    assert (CANARY.salt, CANARY.campaign_id) == ("c-1", "c-1")
    assert (CANARY.role, CANARY.share, CANARY.version) == (Role.CANARY, 0.25, 5)


def test_a_rollback_is_one_version_without_the_candidate() -> None:
    table = route(CANARY, "c-1", Withdraw())

    assert table.version == 6
    assert (table.champion, table.candidate, table.campaign_id) == (CHAMPION, None, "")


def test_a_promotion_makes_the_candidate_champion() -> None:
    table = route(CANARY, "c-1", Crown(RELEASE))

    assert (table.champion, table.candidate, table.share) == (RELEASE, None, 0.0)


def test_the_same_request_twice_is_one_version() -> None:
    again = route(CANARY, "c-1", Expose(RELEASE, Role.CANARY, 0.25))

    assert again == CANARY


def test_keys_change_the_version_and_nothing_else() -> None:
    table = with_keys(CANARY, ("z", "a"))

    assert table.keys == ("a", "z")
    assert (table.version, table.candidate) == (6, RELEASE)
