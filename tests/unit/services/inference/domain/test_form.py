"""Which schemas are taken, and which answers fit."""

from typing import Any

import pytest

from services.inference.domain.form import ANY_OBJECT, MAX_DEPTH, BadSchema, form, misfit
from services.inference.domain.generation import Form
from services.inference.domain.pattern import MAX_TEXT, why_not

CARD: dict[str, Any] = {
    "title": "Card",
    "type": "object",
    "properties": {
        "state": {"enum": ["lost", "stolen"]},
        "owner": {"$ref": "#/$defs/person"},
        "digits": {"type": "string", "pattern": "^[0-9]{4}$"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
    },
    "required": ["state"],
    "additionalProperties": False,
    "$defs": {"person": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        inner = {"type": "array", "items": inner}
    return inner


@pytest.mark.parametrize(
    "schema",
    [
        CARD,
        {},
        {"type": ["string", "null"]},
        {"anyOf": [{"const": 1}, {"type": "array", "prefixItems": [{"type": "integer"}]}]},
        {"type": "object", "properties": {"$ref": {"type": "string"}}},
        {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}},
        nested(MAX_DEPTH),
    ],
)
def test_a_schema_that_engines_can_follow_is_taken(schema: dict[str, Any]) -> None:
    assert isinstance(form(schema), Form)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ([], "not an object"),
        ({"type": "strin"}, "/type"),
        ({"not": {"type": "string"}}, "'not' is not supported"),
        ({"properties": {"a": {"uniqueItems": True}}}, "/properties/a: 'uniqueItems'"),
        ({"$ref": "https://example.org/card.json"}, "must stay inside"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "leads back to itself"),
        ({"enum": []}, "enum is empty"),
        ({"minLength": 3, "maxLength": 2}, "minLength is above maxLength"),
        ({"maxItems": 1_000_000}, "between 0 and"),
        ({"format": "iban"}, "'iban' is not supported"),
        ({"pattern": "(a+)+$"}, "nests repetitions"),
        ({"required": ["a"], "additionalProperties": False}, "required and not allowed"),
        ({"description": "x" * 70_000}, "above 65536 bytes"),
        ({"anyOf": [{"const": n} for n in range(2100)]}, "more than 2000 parts"),
        (nested(MAX_DEPTH + 1), "deeper than"),
        (nested(900), "deeper than"),
        ({"default": nested(900)}, None),
    ],
)
def test_a_schema_that_could_run_away_is_refused_by_name(schema: Any, why: str | None) -> None:
    if why is None:
        assert form(schema)
        return

    with pytest.raises(BadSchema, match=why.replace("$", r"\$")):
        form(schema)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"state": "lost"}', True),
        ('{"state": "lost", "owner": {"name": "Ann"}, "digits": "1234", "tags": ["a"]}', True),
        ('{"state": "found"}', False),
        ('{"state": "lost", "digits": "12"}', False),
        ('{"state": "lost", "more": 1}', False),
        ('{"state": "lost"', False),
        ("", False),
        ("[" * 100_000, False),
        ('{"state": "lost", "digits": "' + "1" * (MAX_TEXT + 1) + '"}', False),
    ],
)
def test_an_answer_fits_or_it_does_not(text: str, fits: bool) -> None:
    assert (misfit(text, form(CARD)) is None) == fits


def test_any_object_is_an_object() -> None:
    assert misfit('{"a": [1, null]}', ANY_OBJECT) is None
    assert misfit("[1]", ANY_OBJECT) is not None


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        (r"^[A-C]{3}-[0-9]{2}$", True),
        (r"^\d+(\.\d{2})?$", True),
        (r"(\d{3})+", True),
        (r"(a+)+", False),
        (r"(a|aa)*b*c*d*", False),
        (r"(?=a)b", False),
        (r"(a)\1", False),
        (r"\bcard\b", False),
        (r"a{5000}", False),
        (r"(", False),
        ("a" * 300, False),
        ("(" * 5000, False),
    ],
)
def test_a_pattern_is_taken_when_it_can_be_matched_in_bounded_time(
    pattern: str, taken: bool
) -> None:
    assert (why_not(pattern) is None) == taken
