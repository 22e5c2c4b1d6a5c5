"""What is refused, and that an identity is the content's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest import domain
from services.ingest.domain import Draft, Kind

EXAMPLE = Draft("bank", Kind.EXAMPLE, {"prompt": "How?", "answer": "So."})


def code_of(draft: Draft) -> str | None:
    refusal = domain.objection(draft, max_field_bytes=1000)
    return refusal.code if refusal else None


def test_an_example_with_prompt_and_answer_may_come_in() -> None:
    assert code_of(EXAMPLE) is None


@pytest.mark.parametrize(
    ("draft", "code"),
    [
        (replace(EXAMPLE, contents={"prompt": "How?"}), "missing_field"),
        (replace(EXAMPLE, contents={"prompt": "How?", "answer": " \n"}), "missing_field"),
        (replace(EXAMPLE, contents={**EXAMPLE.contents, "text": "x"}), "field_not_of_kind"),
        (replace(EXAMPLE, contents={"prompt": "x" * 1001, "answer": "y"}), "field_too_large"),
        (replace(EXAMPLE, contents={"prompt": "\ud800", "answer": "y"}), "bad_unicode"),
        (replace(EXAMPLE, group="a\x00b"), "bad_name"),
        (replace(EXAMPLE, subject="s" * 257), "name_too_long"),
        (replace(EXAMPLE, labels={"": "x"}), "bad_name"),
        (replace(EXAMPLE, labels={"x" * 65: "x"}), "name_too_long"),
        (replace(EXAMPLE, labels={str(n): "x" for n in range(33)}), "too_many_labels"),
    ],
)
def test_a_broken_rule_is_named(draft: Draft, code: str) -> None:
    assert code_of(draft) == code


@given(st.permutations([("a", "1"), ("b", "2"), ("c", "3")]))
def test_the_order_of_labels_does_not_change_a_records_identity(
    labels: list[tuple[str, str]],
) -> None:
    same = replace(EXAMPLE, labels={"a": "1", "b": "2", "c": "3"})

    assert domain.record_id(replace(EXAMPLE, labels=dict(labels))) == domain.record_id(same)


@pytest.mark.parametrize(
    "other",
    [
        replace(EXAMPLE, application="shop"),
        replace(EXAMPLE, kind=Kind.EVALUATION_CASE),
        replace(EXAMPLE, collection="shuffled"),
        replace(EXAMPLE, subject="anna"),
        replace(EXAMPLE, group="g"),
        replace(EXAMPLE, labels={"domain": "bank"}),
        replace(EXAMPLE, contents={"prompt": "How?", "answer": "So!"}),
    ],
)
def test_whatever_differs_changes_the_identity(other: Draft) -> None:
    assert domain.record_id(other) != domain.record_id(EXAMPLE)


def test_the_identity_never_changes_between_versions_of_the_code() -> None:
    assert domain.record_id(EXAMPLE) == GOLDEN_RECORD_ID
    assert domain.event_id(GOLDEN_RECORD_ID) == GOLDEN_EVENT_ID


GOLDEN_RECORD_ID = "f6a1ddd86f0796cd42e316c713732a53d756d870bf52b2d5e8ed1b12246b70eb"
GOLDEN_EVENT_ID = "d2ce2083-5c7e-59f6-8f27-d7a3a77f9a8b"
