from dataclasses import replace

from services.inference.domain.cache import OVERHEAD_BYTES, Cache, Key, Pieces, key_of, merged
from services.inference.domain.generation import Ask, Delta, Finish, sampling
from services.inference.domain.release import Decoding, Provider, Release
from services.inference.domain.serving import Caching
from tests.unit.services.inference.fakes import CANARY, CHAMPION, ask

POLICY = Caching(enabled=True, ttl_s=60.0, entries=3)
PIECES: Pieces = (Delta("Hello"), Delta(" there"), Finish("stop", 3, 2, -1.0))
ONE, OTHER = "0192d3b0-0000-7000-8000-000000000001", "0192d3b0-0000-7000-8000-000000000002"


def key(
    asked: Ask, application: str = "support", release: Release = CHAMPION, number: str = ONE
) -> Key | None:
    return key_of(application, release, asked, sampling(asked, release.decoding, number))


def test_what_only_describes_a_request_does_not_part_equal_ones() -> None:
    first = key(ask(subject="alice", labels={"shop": "7"}, episode_id="1"))

    assert first is not None
    assert key(ask(subject="bob", episode_id="2", traceparent="00-1"), number=OTHER) == first


def test_answers_of_a_provider_that_is_not_told_the_temperature_are_not_kept() -> None:
    told = Provider("outside", "https://example.org/v1", "small")
    untold = replace(told, omit=frozenset({"temperature"}))
    releases = [
        replace(CHAMPION, engine=replace(CHAMPION.engine, provider=each)) for each in (told, untold)
    ]

    assert [key(ask(), release=each) is not None for each in releases] == [True, False]


def test_whatever_the_request_asks_for_parts_it_from_others() -> None:
    plain = ask()
    others = [
        ask("Where is it?"),
        replace(plain, max_tokens=5),
        replace(plain, stop=("x",)),
        replace(plain, seed=4),
        replace(plain, choice=1),
        replace(plain, logprobs=True),
        replace(plain, variables={"shop": "7"}),
    ]

    keys = [key(plain), *(key(other) for other in others)]

    assert len(set(keys)) == len(keys)


def test_neither_applications_nor_releases_share_an_answer() -> None:
    keys = {key(ask()), key(ask(), application="other"), key(ask(), release=CANARY)}

    assert len(keys) == 3


def test_an_answer_that_is_drawn_is_never_kept() -> None:
    warm = replace(CHAMPION, decoding=Decoding(64, 0.7, 1.0, 0))

    assert key(ask(), release=warm) is None
    assert key(ask(temperature=0.5)) is None


def test_an_answer_is_given_until_its_time_is_over() -> None:
    cache = Cache(10_000)
    cache.put(("a", b"1"), PIECES, POLICY, 0.0)

    assert cache.get(("a", b"1"), 59.0) == PIECES
    assert cache.get(("a", b"1"), 60.0) is None
    assert cache.size == 0


def test_the_least_recently_used_answer_of_the_same_application_goes_first() -> None:
    cache = Cache(100_000)
    cache.put(("other", b"0"), PIECES, POLICY, 0.0)
    for name in (b"1", b"2", b"3"):
        cache.put(("a", name), PIECES, POLICY, 0.0)
    cache.get(("a", b"1"), 1.0)

    cache.put(("a", b"4"), PIECES, POLICY, 1.0)

    kept = [name for name in (b"1", b"2", b"3", b"4") if cache.get(("a", name), 1.0)]
    assert kept == [b"1", b"3", b"4"]
    assert cache.get(("other", b"0"), 1.0)


def test_all_answers_together_stay_within_their_bytes() -> None:
    cache, policy = Cache(20 * OVERHEAD_BYTES), Caching(enabled=True, entries=1000)

    for number in range(100):
        cache.put(("a", bytes([number])), PIECES, policy, 0.0)
        assert cache.size <= cache.most_bytes
    cache.put(("a", b"huge"), (Delta("x" * 10_000), PIECES[-1]), policy, 0.0)

    assert cache.get(("a", b"huge"), 0.0) is None
    assert cache.get(("a", bytes([99])), 0.0) == PIECES


def test_a_kept_answer_is_one_delta_and_its_finish() -> None:
    assert merged(PIECES) == (Delta("Hello there"), PIECES[-1])
