"""Answers that must be JSON: which schemas are taken. `fit` tells whether an answer fits its own.

A schema is taken when an engine can follow it and when checking it cannot run away: bounded in
size and depth, references inside the document, patterns without nested repetition. What an
engine cannot follow is known from its failures.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from math import inf
from typing import Any, Final

from services.inference.domain.generation import Form
from services.inference.domain.pattern import spelled, why_not

MAX_SCHEMA_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 2000
MAX_COUNT: Final = 4096
"""Of items, characters or properties: engines spell repetitions out."""
MAX_FOLLOWED: Final = 64
"""Lengths of all strings together that an engine counts: each costs it up to 40 ms, once for a
schema. Above, they are checked once the answer is there."""
MAX_SPELLED: Final = 512
"""Of patterns, items and properties together: what they cost an engine, in the same measure."""
MAX_TRIED: Final = 10_000
"""Schemas that may be tried on one value, on all ways through ``$ref`` and the likes of anyOf."""
MAX_WHOLE: Final = 2**53
ANY_OBJECT: Final = Form('{"type":"object","additionalProperties":true}')

ANNOTATIONS: Final = frozenset(
    {
        *("$comment", "$schema", "default", "deprecated", "description", "discriminator"),
        *("examples", "readOnly", "title", "writeOnly"),
    }
)
NESTED: Final = frozenset({"additionalProperties", "items"})
LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
MAPS: Final = frozenset({"$defs", "definitions", "properties"})
COUNTS: Final = frozenset({"maxItems", "maxLength", "minItems", "minLength"})
VALUES: Final = frozenset(
    {
        *("$ref", "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maximum"),
        *("minimum", "pattern", "required", "type"),
    }
)
TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
FORMATS: Final = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)
LENGTHS: Final = ("minLength", "maxLength")
RANGES: Final = (("minItems", "maxItems"), LENGTHS)
BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _are_types(value: object) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and _are_texts(names) and TYPES.issuperset(names)


VALUE_KINDS: Final[Mapping[str, Callable[[object], bool]]] = {
    **dict.fromkeys(("$ref", "format", "pattern"), _is_text),
    **dict.fromkeys(BOUNDS, _is_number),
    "enum": lambda value: isinstance(value, list) and bool(value),
    "required": _are_texts,
    "type": _are_types,
}


class BadSchema(ValueError):
    """A schema that is not taken; the message says where and why."""


def form(schema: object) -> Form:
    """The form of ``schema``, a parsed JSON schema.

    Raises:
        BadSchema: an engine could not follow it, or a check could run away.
    """
    if not isinstance(schema, dict):
        raise BadSchema("the schema is not an object")
    try:
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError) as error:
        raise BadSchema(f"the schema is not JSON: {str(error)[:100]}") from error
    if size > MAX_SCHEMA_BYTES:
        raise BadSchema(f"the schema is above {MAX_SCHEMA_BYTES} bytes")
    return _form(text)


@lru_cache(maxsize=128)
def _form(text: str) -> Form:
    schema = json.loads(text)
    parts: list[tuple[str, dict[str, Any]]] = []
    for part in _nodes(schema, "", 0):
        parts.append(part)
        if len(parts) > MAX_NODES:
            raise BadSchema(f"the schema has more than {MAX_NODES} parts")
    for path, node in parts:
        _check(node, path or "/")
    nodes = [node for _, node in parts]
    _check_tries(nodes, schema)
    if sum(map(_spelled, nodes)) > MAX_SPELLED:
        raise BadSchema(
            "the schema is too long spelled out: lower the repetitions of its patterns, maxItems "
            "or the number of properties that are not required"
        )
    return Form(text, _guide(schema, nodes))


def _guide(schema: dict[str, Any], nodes: list[dict[str, Any]]) -> str:
    """``schema`` without the lengths of strings where they are too many; "" for all of it."""
    if sum(max(node.get(name, 0) for name in LENGTHS) for node in nodes) <= MAX_FOLLOWED:
        return ""
    for node in nodes:
        for name in LENGTHS:
            node.pop(name, None)
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def _nodes(node: object, path: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in ``node``, with its path."""
    if node is True or (node is False and path.rpartition("/")[2] in NESTED):
        return
    if node is False:
        raise BadSchema(f"{path}: false fits no value")
    if not isinstance(node, dict):
        raise BadSchema(f"{path or '/'}: a schema is an object")
    if depth > MAX_DEPTH:
        raise BadSchema(f"the schema is nested deeper than {MAX_DEPTH}")
    yield path, node
    for name, value in node.items():
        here = f"{path}/{name}"
        if name in NESTED:
            yield from _nodes(value, here, depth + 1)
        elif name in LISTS:
            if not isinstance(value, list) or not value:
                raise BadSchema(f"{here}: is no list of schemas")
            for index, inner in enumerate(value):
                yield from _nodes(inner, f"{here}/{index}", depth + 1)
        elif name in MAPS:
            if not isinstance(value, dict):
                raise BadSchema(f"{here}: is no object of schemas")
            for key, inner in value.items():
                yield from _nodes(inner, f"{here}/{key}", depth + 1)


def _check(node: dict[str, Any], path: str) -> None:
    for name, value in node.items():
        if name not in ANNOTATIONS | NESTED | LISTS | MAPS | COUNTS | VALUES:
            raise BadSchema(f"{path}: {name[:64]!r} is not supported")
        if name in VALUE_KINDS and not VALUE_KINDS[name](value):
            raise BadSchema(f"{path}: {name} has no such value: {str(value)[:64]}")
        if name in COUNTS and not (type(value) is int and 0 <= value <= MAX_COUNT):
            raise BadSchema(f"{path}: {name} must lie between 0 and {MAX_COUNT}")
    for least, most in RANGES:
        if least in node and most in node and node[least] > node[most]:
            raise BadSchema(f"{path}: {least} is above {most}")
    if len(node.get("allOf", ())) > 1:
        raise BadSchema(f"{path}: allOf of several is not supported")
    if "format" in node and node["format"] not in FORMATS:
        raise BadSchema(f"{path}: format {str(node['format'])[:64]!r} is not supported")
    if "pattern" in node and (reason := why_not(node["pattern"])):
        raise BadSchema(f"{path}: pattern {reason}")
    for name in node.get("properties", ()):
        if not name.isprintable() or '"' in name or "\\" in name:
            raise BadSchema(f"{path}: property {name[:64]!r} has quotes, backslashes or controls")
    _check_bounds(node, path)
    _check_items(node, path)
    _check_required(node, path)


def _check_bounds(node: dict[str, Any], path: str) -> None:
    """Of numbers: engines fail where none lies between."""
    bounds = {name: node[name] for name in BOUNDS if name in node}
    if any(abs(bound) > MAX_WHOLE for bound in bounds.values()):
        raise BadSchema(f"{path}: bounds must lie between -2^53 and 2^53")
    types = node.get("type", ())
    whole = types == "integer" or "integer" in types
    if whole and any(bound != int(bound) for bound in bounds.values()):
        raise BadSchema(f"{path}: the bounds of an integer must be integers")
    step = 1 if whole else 0
    least = max(bounds.get("minimum", -inf), bounds.get("exclusiveMinimum", -inf) + step)
    most = min(bounds.get("maximum", inf), bounds.get("exclusiveMaximum", inf) - step)
    open_ends = {bounds.get("exclusiveMinimum"), bounds.get("exclusiveMaximum")}
    if least > most or (least == most and not whole and least in open_ends):
        raise BadSchema(f"{path}: no number lies between its bounds")


def _check_items(node: dict[str, Any], path: str) -> None:
    first = len(node.get("prefixItems", ()))
    if first > node.get("maxItems", first):
        raise BadSchema(f"{path}: prefixItems are more than maxItems")
    if node.get("items") is False and node.get("minItems", 0) > first:
        raise BadSchema(f"{path}: minItems is above what prefixItems and items allow")


def _spelled(node: dict[str, Any]) -> int:
    """What an engine spells out of ``node``, weighed as measured."""
    optional = len(node.get("properties", {}).keys() - node.get("required", ()))
    items: int = max(node.get("minItems", 0), node.get("maxItems", 0))
    return spelled(node.get("pattern", "")) + items // 8 + optional**2 // 256


def _check_tries(nodes: list[dict[str, Any]], root: dict[str, Any]) -> None:
    """That a value is held against a bounded number of schemas, and never again against one."""
    known = {id(node) for node in nodes}
    graph = {id(node): [id(each) for each in _same_value(node, root, known)] for node in nodes}
    tried: dict[int, int] = {}
    try:
        for key in TopologicalSorter(graph).static_order():
            tried[key] = 1 + sum(tried[inner] for inner in graph.get(key, ()))
    except CycleError as error:
        raise BadSchema("$ref leads back to itself") from error
    if max(tried.values()) > MAX_TRIED:
        raise BadSchema(f"one value would be held against more than {MAX_TRIED} schemas")


def _same_value(node: dict[str, Any], root: dict[str, Any], known: set[int]) -> Iterator[object]:
    """The schemas that hold for the same value as ``node``."""
    for name in ("allOf", "anyOf", "oneOf"):
        yield from node.get(name, ())
    if "$ref" in node:
        target = _at(root, str(node["$ref"]))
        if id(target) not in known:
            raise BadSchema(f"$ref {str(node['$ref'])[:64]!r} leads to no schema")
        yield target


def _at(root: dict[str, Any], target: str) -> object:
    if target != "#" and not target.startswith("#/"):
        raise BadSchema(f"$ref {target[:64]!r} must stay inside the schema")
    if "~" in target or "%" in target:
        raise BadSchema(f"$ref {target[:64]!r} has escapes, which are not supported")
    found: object = root
    for key in target.split("/")[1:]:
        if not isinstance(found, dict) or key not in found:
            raise BadSchema(f"$ref {target[:64]!r} leads nowhere")
        found = found[key]
    return found


def _check_required(node: dict[str, Any], path: str) -> None:
    properties = node.get("properties", {})
    missing = [name for name in node.get("required", ()) if name not in properties]
    if missing and node.get("additionalProperties") is False:
        raise BadSchema(f"{path}: {str(missing[0])[:64]!r} is required and not allowed")
