"""Which schemas are taken, and which answers fit."""

import json
from typing import Any

import pytest

from services.inference.domain.fit import misfit
from services.inference.domain.form import ANY_OBJECT, MAX_DEPTH, BadSchema, form
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


def doubled(times: int) -> dict[str, Any]:
    """A schema whose branches double with each step."""
    steps: dict[str, Any] = {
        f"a{n}": {"oneOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(times)
    }
    return {"$ref": "#/$defs/a0", "$defs": steps | {f"a{times}": {}}}


BRANCHING = {
    "$ref": "#/$defs/n",
    "$defs": {"n": {"oneOf": [{"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}}] * 2}},
}
"""Each level of an answer doubles what is tried."""


@pytest.mark.parametrize(
    "schema",
    [
        CARD,
        {},
        {"type": ["string", "null"]},
        {"anyOf": [{"const": 1}, {"type": "array", "prefixItems": [{"type": "integer"}]}]},
        {"type": "object", "properties": {"$ref": {"type": "string"}}},
        {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}},
        {"prefixItems": [{}], "items": False, "maxItems": 1},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1.5},
        {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2},
        {"properties": {"a": True}, "additionalProperties": False},
        {"properties": {str(n): {} for n in range(400)}, "required": [str(n) for n in range(300)]},
        {"properties": {str(n): {"maxLength": 200} for n in range(10)}},
        doubled(8),
        BRANCHING,
        nested(MAX_DEPTH),
    ],
)
def test_a_schema_that_engines_can_follow_is_taken(schema: dict[str, Any]) -> None:
    assert isinstance(form(schema), Form)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ([], "not an object"),
        ({"type": "strin"}, "type has no such value: strin"),
        ({"type": []}, "type has no such value"),
        ({"required": [1]}, "required has no such value"),
        ({"minimum": True}, "minimum has no such value"),
        ({"minItems": True}, "between 0 and"),
        ({"anyOf": []}, "no list of schemas"),
        ({"properties": []}, "no object of schemas"),
        ({"const": float("nan")}, "is not JSON"),
        ({"const": "\ud800"}, "is not JSON"),
        ({"not": {"type": "string"}}, "'not' is not supported"),
        ({"properties": {"a": {"uniqueItems": True}}}, "/properties/a: 'uniqueItems'"),
        ({"$ref": "https://example.org/card.json"}, "must stay inside"),
        ({"$ref": "#card"}, "must stay inside"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {}}}, "has escapes"),
        ({"$ref": "#/default", "default": {"pattern": "(a+)+$"}}, "leads to no schema"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "leads back to itself"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "leads back to itself"),
        (doubled(30), "against more than"),
        ({"maxItems": 4000, "items": {"maxItems": 1000}}, "too long spelled out"),
        (
            {"properties": {str(n): {"pattern": f"^[a-z]{{200}}{n}$"} for n in range(3)}},
            "too long spelled out",
        ),
        ({"properties": {str(n): {} for n in range(400)}}, "too long spelled out"),
        ({"enum": []}, "enum has no such value"),
        ({"properties": {"a": False}}, "/properties/a: false fits no value"),
        ({"properties": {'a"b': {}}}, "has quotes"),
        ({"minLength": 3, "maxLength": 2}, "minLength is above maxLength"),
        ({"type": "number", "minimum": 3, "exclusiveMaximum": 3}, "no number lies between"),
        ({"type": "number", "exclusiveMinimum": 4, "maximum": 3}, "no number lies between"),
        (
            {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
            "no number lies between",
        ),
        ({"type": ["integer", "null"], "minimum": 0.5}, "must be integers"),
        ({"maximum": 1e300}, "must lie between"),
        ({"prefixItems": [{}, {}], "maxItems": 1}, "more than maxItems"),
        ({"prefixItems": [{}], "items": False, "minItems": 2}, "minItems is above"),
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


def test_an_engine_counts_the_lengths_of_a_few_strings_and_the_others_are_checked() -> None:
    def named(characters: int) -> Form:
        return form({"properties": {"maxLength": {"type": "string", "maxLength": characters}}})

    assert named(64).guide == ""
    assert json.loads(named(65).guide) == {"properties": {"maxLength": {"type": "string"}}}
    assert misfit(json.dumps({"maxLength": "x" * 66}), named(65)) is not None


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


def test_checking_an_answer_ends_when_its_branches_double_with_each_level() -> None:
    text = "{}"
    for _ in range(60):
        text = f'{{"x": {text}}}'

    assert "steps to check" in (misfit(text, form(BRANCHING)) or "")


def test_checking_an_answer_ends_when_each_item_has_a_thousand_branches() -> None:
    wanted = form({"items": {"anyOf": [{"const": number} for number in range(1000)]}})

    assert "steps to check" in (misfit(json.dumps([999] * 100), wanted) or "")


def test_a_long_answer_of_an_ordinary_schema_is_checked_to_its_end() -> None:
    cards = [{"state": "lost", "owner": {"name": "Ann"}, "digits": "1234", "tags": ["a"]}] * 200

    wanted = form({"items": CARD, "$defs": CARD["$defs"]})

    assert misfit(json.dumps(cards), wanted) is None


@pytest.mark.parametrize("pattern", ["a*a*b", "a*a*a*b", "^a*a*a*a{200}b$"])
def test_checking_an_answer_ends_when_a_pattern_is_sought_in_vain_in_many_texts(
    pattern: str,
) -> None:
    wanted = form({"items": {"anyOf": [{"pattern": pattern}, {"type": "string"}]}})

    assert "steps to check" in (misfit(json.dumps(["a" * MAX_TEXT] * 100), wanted) or "")


def test_a_pattern_is_sought_in_texts_as_long_as_people_write() -> None:
    wanted = form({"items": {"pattern": r"[^@ ]+@[^@ ]+\.[a-z]+"}})

    assert misfit(json.dumps(["somebody.else@example.org"] * 100), wanted) is None


def test_any_object_is_an_object() -> None:
    assert misfit('{"a": [1, null]}', ANY_OBJECT) is None
    assert misfit("[1]", ANY_OBJECT) is not None


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        (r"^[A-C]{3}-[0-9]{2}$", True),
        (r"^\d+(\.\d{2})?$", True),
        (r"(\d{3})+", True),
        (r"^(?:[\w.-]+@[\w-]+\.[a-z]{2,}|none)$", True),
        (r"\x41\u00e9[^\]]\n\/", True),
        ("", True),
        (r"(?i)^yes$", False),
        (r"(?i:a)", False),
        (r"(?P<x>\d)", False),
        (r"(?#c)", False),
        (r"(?x)a b", False),
        (r"a|", False),
        (r"(|a)", False),
        (r"()", False),
        (r"[]a]", False),
        (r"[[a]", False),
        (r"a{,3}", False),
        (r"a{", False),
        (r"\012", False),
        (r"(a{256}){256}", False),
        (r"[a-z]{200}", True),
        (r".{64}", True),
        (r"[^a]{200}", False),
        (r"\S{200}", False),
        (r"(a+)+", False),
        (r"(a|aa)*b*c*d*", False),
        (r"^(?:aa|a)*b$", False),
        (r"^(?:ab|[a-z]b)+c$", False),
        (r"^(?:aa|a){200}b$", False),
        ("^" + "(?:a|aa)" * 30 + "b$", False),
        ("(?:" * 4 + "(?:a|aa)" + "{256})" * 4, False),
        (r"^(?:red|green|blue)+$", True),
        (r"^[a-z]+(?:-[a-z]|[0-9][0-9])*$", True),
        (r"^((25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)\.){3}\d$", True),
        (r"^(0[1-9]|[12]\d|3[01])-(0[1-9]|1[0-2])-(19|20)\d\d$", True),
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
