"""Which rows a dataset takes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.preprocessing.domain.cut import Cut, PairRow, Query, RowFilter, cut, segments, spans
from services.preprocessing.domain.rows import Kind, Rejection, Side, Source

BY_DOMAIN = Query(segment_label="domain", max_train=2, max_held_out=1)


def row(name: str, side: Side = Side.TRAIN, domain: str = "a", collection: str = "") -> PairRow:
    return PairRow(
        record_id=name,
        kind=Kind.EXAMPLE,
        collection=collection,
        side=side,
        prompt=f"question {name}",
        answer="answer",
        prompt_digest=f"digest {name}",
        group="",
        subject="",
        labels={"domain": domain},
        source=Source("t", 0, len(name), name),
    )


ROWS = [
    *(row(f"{domain}{n}", Side.TRAIN, domain) for domain in "ab" for n in range(4)),
    *(row(f"{domain}h{n}", Side.HELD_OUT, domain) for domain in "ab" for n in range(2)),
]


def names(rows: tuple[PairRow, ...]) -> list[str]:
    return [row.record_id for row in rows]


@given(st.permutations(ROWS))
def test_the_order_of_arrival_does_not_matter(rows: list[PairRow]) -> None:
    taken = cut(rows, BY_DOMAIN)

    assert isinstance(taken, Cut)
    assert names(taken.train) == ["a0", "a1", "b0", "b1"]
    assert names(taken.held_out) == ["ah0", "bh0"]
    assert segments(taken, BY_DOMAIN) == [("a", 2, 1), ("b", 2, 1)]
    assert taken.left_out["train_over_cap"] == 4


def test_a_training_row_with_a_held_out_question_is_left_out() -> None:
    known = replace(row("a9", collection="bad"), prompt_digest="digest ah1")

    taken = cut(
        [*ROWS, known, row("a8", collection="bad")], Query(collection="bad", max_held_out=1)
    )

    assert isinstance(taken, Cut)
    assert names(taken.train) == ["a8"]
    assert taken.left_out["prompt_is_held_out"] == 1


def test_held_out_rows_come_from_the_default_collection() -> None:
    rows = [row("t", collection="c"), row("h", Side.HELD_OUT, collection="c"), *ROWS]

    taken = cut(rows, Query(collection="c"))

    assert isinstance(taken, Cut)
    assert names(taken.train) == ["t"]
    assert "h" not in names(taken.held_out)


def test_no_rows_on_a_side_is_a_refusal() -> None:
    assert _code([row("h", Side.HELD_OUT)]) == "no_training_rows"
    assert _code([row("t")]) == "no_held_out_rows"


def timed(name: str, occurred_at: float, **more: object) -> PairRow:
    return replace(row(name), occurred_at=occurred_at, **more)  # type: ignore[arg-type]


TIMED = [
    row("unknown"),
    timed("early", 10.0),
    timed("late", 20.0, language="de"),
    timed("latest", 30.0, labels={"route": "x"}, language="de"),
    row("h", Side.HELD_OUT),
]


@pytest.mark.parametrize(
    ("only", "taken"),
    [
        (RowFilter(since=20.0), ["late", "latest"]),
        (RowFilter(until=20.0), ["early"]),
        (RowFilter(since=10.0, until=30.0), ["early", "late"]),
        (RowFilter(segment="route=x"), ["latest"]),
        (RowFilter(segment="language=de", until=30.0), ["late"]),
        (RowFilter(), ["early", "late", "latest", "unknown"]),
    ],
)
def test_only_the_rows_of_a_period_and_segment_are_trained_on(
    only: RowFilter, taken: list[str]
) -> None:
    found = cut(TIMED, Query(only=only))

    assert isinstance(found, Cut)
    assert names(found.train) == taken
    assert names(found.held_out) == ["h"]
    assert found.left_out["not_asked_for"] == 4 - len(taken)


@pytest.mark.parametrize(
    ("only", "code", "said"),
    [
        (RowFilter(segment="route=y"), "unknown_segment", "there are route=x"),
        (RowFilter(segment="rout=x"), "unknown_segment", "none with the label rout"),
        (RowFilter(segment="route"), "bad_filter", "'route' is not label=value"),
        (RowFilter(since=20.0, until=20.0), "bad_filter", "since is not before until"),
        (RowFilter(since=31.0), "no_training_rows", "that the request asks for"),
        (RowFilter(until=20.0, segment="route=x"), "no_training_rows", "asks for"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(only: RowFilter, code: str, said: str) -> None:
    refused = cut(TIMED, Query(only=only))

    assert isinstance(refused, Rejection)
    assert refused.code == code
    assert said in refused.reason


def test_rows_of_a_drift_come_to_the_mix_whatever_the_cap() -> None:
    old = [timed(f"o{number}", 5.0) for number in range(6)]
    rows = [*old, timed("x", 40.0), timed("y", 41.0), row("h", Side.HELD_OUT)]

    plain = cut(rows, Query(max_train=2))
    drifted = cut(rows, Query(max_train=2, always=RowFilter(since=40.0, segment="domain=a")))
    unknown = cut(rows, Query(max_train=2, always=RowFilter(segment="domain=no such")))

    assert isinstance(plain, Cut)
    assert isinstance(drifted, Cut)
    assert names(plain.train) == ["o0", "o1"]
    assert names(drifted.train) == ["o0", "o1", "x", "y"]
    assert plain == unknown


def test_spans_tell_what_of_the_log_is_in_the_rows() -> None:
    assert spans([row("x"), row("xxx"), row("xx")]) == [("t", 0, 1, 3, 3)]


def _code(rows: list[PairRow]) -> str:
    taken = cut(rows, Query())
    assert isinstance(taken, Rejection)
    return taken.code
