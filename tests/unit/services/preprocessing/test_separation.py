"""The property this service exists for: what is held out can never be trained on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protos.ingest.v1.ingest_events_pb2 import Record
from services.preprocessing.domain.cut import Cut, PairRow, Query, cut
from services.preprocessing.domain.rows import Entry, Kind
from services.preprocessing.domain.similarity import jaccard, shingles_of

from .fakes import Bench, case, pair

WORDS = [f"word{n}" for n in range(40)]
PROMPTS = [f"question about thing {n} please" for n in range(40)]
LINES = st.lists(st.sampled_from(WORDS), max_size=2)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Pairs from few questions and words, so that many are alike."""
    base = " ".join(WORDS) if draw(st.booleans()) else " ".join(reversed(WORDS))
    answer = " ".join([base, *draw(LINES)])
    prompt = draw(st.sampled_from(PROMPTS))
    if draw(st.integers(0, 4)) == 0:
        return case(prompt, answer)
    group = draw(st.sampled_from(["", "g1", "g2", "g3", "g4", "g5"]))
    return pair(prompt, answer, group=group, collection=draw(st.sampled_from(["", "", "other"])))


@settings(max_examples=25, deadline=None)
@given(st.lists(records(), min_size=5, max_size=40), st.sampled_from(["", "other"]))
def test_no_held_out_row_nor_its_like_is_trained_on(
    arriving: list[Record], collection: str
) -> None:
    bench = Bench()
    for number, record in enumerate(arriving):
        bench.receive(f"{number:03}", record)
    bench.run()

    taken = cut(bench.rows(), Query(collection=collection))

    if isinstance(taken, Cut):
        for trained in taken.train:
            for tested in bench.rows():
                if tested.side is not trained.side:
                    assert trained.prompt_digest != tested.prompt_digest
                    assert jaccard(_shingles(trained), _shingles(tested)) < 0.8
                    assert trained.group != tested.group or not trained.group or _is_case(tested)


def _is_case(row: PairRow) -> bool:
    return row.kind is Kind.EVALUATION_CASE


def _shingles(row: PairRow) -> frozenset[str]:
    contents = {"prompt": row.prompt, "answer": row.answer}
    return shingles_of(Entry(row.record_id, "bank", row.kind, contents, row.source))
