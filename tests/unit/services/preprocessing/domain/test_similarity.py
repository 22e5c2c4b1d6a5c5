"""Fingerprints: exact, near, and stable."""

from hypothesis import assume, given
from hypothesis import strategies as st

from services.preprocessing.domain.rows import Entry, Kind, Source
from services.preprocessing.domain.similarity import (
    NEAR,
    fingerprint,
    jaccard,
    shingles,
    words,
)


def entry(prompt: str, answer: str, kind: Kind = Kind.EXAMPLE) -> Entry:
    contents = {"prompt": prompt, "answer": answer}
    return Entry("r", "bank", kind, contents, Source("t", 0, 0, "e"))


def test_case_spacing_and_the_kind_of_pair_do_not_make_a_difference() -> None:
    one = fingerprint(entry("How do I pay?", "With a card."))
    other = fingerprint(entry("how do I  pay?", "With a CARD.", Kind.EVALUATION_CASE))

    assert one == other


def test_prompt_and_answer_are_not_run_together() -> None:
    one = fingerprint(entry("pay now", "please"))
    other = fingerprint(entry("pay", "now please"))

    assert one.content_digest != other.content_digest


def test_the_bands_never_change_between_versions_of_the_code() -> None:
    """Stored bands are compared with new ones: a change needs a migration that rebuilds them."""
    found = fingerprint(entry("How do I pay?", "With a card."))

    assert found.bands[:3] == GOLDEN_BANDS
    assert len(found.bands) == 32


def test_chinese_characters_are_words() -> None:
    assert words("付款ok 1") == ["付", "款", "ok", "1"]


def test_a_short_text_is_one_shingle() -> None:
    assert shingles(["a", "b"]) == {"a b"}
    assert shingles([]) == frozenset()
    assert jaccard(frozenset(), frozenset()) == 0.0


@given(st.lists(st.integers(0, 40), min_size=15, max_size=60), st.data())
def test_near_duplicates_share_a_band(numbers: list[int], data: st.DataObject) -> None:
    changed = list(numbers)
    for place in data.draw(st.lists(st.integers(0, len(numbers) - 1), min_size=1, max_size=2)):
        changed[place] = 99
    one = fingerprint(entry("q", " ".join(f"w{n}" for n in numbers)))
    other = fingerprint(entry("q", " ".join(f"w{n}" for n in changed)))
    assume(jaccard(one.shingles, other.shingles) >= NEAR)

    assert set(one.bands) & set(other.bands)


GOLDEN_BANDS = (442957608395240983, -3024552526157088814, -8348701925656850128)
