"""Answers that must be JSON: which schemas are taken, and whether an answer fits its own.

A schema is taken when an engine can follow it and when checking it cannot run away: bounded in
size and depth, references inside the document, patterns without nested repetition.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from services.inference.domain.generation import Form
from services.inference.domain.pattern import MAX_TEXT, why_not

MAX_SCHEMA_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 2000
MAX_COUNT: Final = 4096
"""Of items, characters or properties: engines spell repetitions out."""
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
FORMATS: Final = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)
RANGES: Final = (("minItems", "maxItems"), ("minLength", "maxLength"), ("minimum", "maximum"))


class BadSchema(ValueError):
    """A schema that is not taken; the message says where and why."""


def form(schema: object) -> Form:
    """The form of ``schema``, a parsed JSON schema.

    Raises:
        BadSchema: an engine could not follow it, or a check could run away.
    """
    if not isinstance(schema, dict):
        raise BadSchema("the schema is not an object")
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode(errors="replace")) > MAX_SCHEMA_BYTES:
        raise BadSchema(f"the schema is above {MAX_SCHEMA_BYTES} bytes")
    parts = []
    for part in _nodes(schema, "", 0):
        parts.append(part)
        if len(parts) > MAX_NODES:
            raise BadSchema(f"the schema has more than {MAX_NODES} parts")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(str(step) for step in error.path)
        raise BadSchema(f"/{where}: {error.message[:200]}") from error
    except RecursionError as error:
        raise BadSchema("the schema is nested too deeply") from error
    for path, node in parts:
        _check(node, path or "/", schema)
    return Form(text)


def _nodes(node: object, path: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in ``node``, with its path."""
    if isinstance(node, bool):
        return
    if not isinstance(node, dict):
        raise BadSchema(f"{path or '/'}: a schema is an object")
    if depth > MAX_DEPTH:
        raise BadSchema(f"the schema is nested deeper than {MAX_DEPTH}")
    yield path, node
    for name, value in node.items():
        here = f"{path}/{name}"
        if name in NESTED:
            yield from _nodes(value, here, depth + 1)
        elif name in LISTS and isinstance(value, list):
            for index, inner in enumerate(value):
                yield from _nodes(inner, f"{here}/{index}", depth + 1)
        elif name in MAPS and isinstance(value, dict):
            for key, inner in value.items():
                yield from _nodes(inner, f"{here}/{key}", depth + 1)


def _check(node: dict[str, Any], path: str, root: dict[str, Any]) -> None:
    for name, value in node.items():
        if name not in ANNOTATIONS | NESTED | LISTS | MAPS | COUNTS | VALUES:
            raise BadSchema(f"{path}: {name[:64]!r} is not supported")
        if name in COUNTS and not (isinstance(value, int) and 0 <= value <= MAX_COUNT):
            raise BadSchema(f"{path}: {name} must lie between 0 and {MAX_COUNT}")
    for least, most in RANGES:
        if least in node and most in node and node[least] > node[most]:
            raise BadSchema(f"{path}: {least} is above {most}")
    if len(node.get("allOf", ())) > 1:
        raise BadSchema(f"{path}: allOf of several is not supported")
    if node.get("enum", [0]) == []:
        raise BadSchema(f"{path}: enum is empty")
    if "format" in node and node["format"] not in FORMATS:
        raise BadSchema(f"{path}: format {str(node['format'])[:64]!r} is not supported")
    if "pattern" in node and (reason := why_not(str(node["pattern"]))):
        raise BadSchema(f"{path}: pattern {reason}")
    if "$ref" in node:
        _check_reference(node["$ref"], path, root)
    _check_required(node, path)


def _check_reference(target: object, path: str, root: dict[str, Any]) -> None:
    if not isinstance(target, str) or not target.startswith("#"):
        raise BadSchema(f"{path}: $ref must stay inside the schema")
    seen, found = {target}, _at(root, target, path)
    while isinstance(found, dict) and "$ref" in found:
        target = str(found["$ref"])
        if target in seen:
            raise BadSchema(f"{path}: $ref leads back to itself")
        seen.add(target)
        found = _at(root, target, path)


def _at(root: dict[str, Any], target: str, path: str) -> object:
    found: object = root
    for step in target.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or key not in found:
            raise BadSchema(f"{path}: $ref {target[:64]!r} leads nowhere")
        found = found[key]
    return found


def _check_required(node: dict[str, Any], path: str) -> None:
    required, properties = node.get("required"), node.get("properties", {})
    if not isinstance(required, list) or not isinstance(properties, dict):
        return
    missing = [name for name in required if name not in properties]
    if missing and node.get("additionalProperties") is False:
        raise BadSchema(f"{path}: {str(missing[0])[:64]!r} is required and not allowed")


def misfit(text: str, wanted: Form) -> str | None:
    """Why ``text`` is not JSON that fits; None when it is."""
    try:
        value = json.loads(text)
        _validator(wanted.schema).validate(value)
    except ValidationError as error:
        where = "/".join(str(step) for step in error.path)
        return f"/{where}: {error.message[:200]}"
    except (ValueError, RecursionError, Unresolvable) as error:
        return f"it is not JSON: {str(error)[:100]}"
    return None


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    # Its own empty registry: the default one would fetch references from the network.
    return _Validator(json.loads(schema), registry=Registry())


def _pattern(validator: Any, pattern: str, value: object, _: Mapping[str, Any]) -> Iterator[Any]:
    if validator.is_type(value, "string") and len(str(value)) > MAX_TEXT:
        yield ValidationError(f"a text with a pattern is above {MAX_TEXT} characters")
        return
    inner = Draft202012Validator.VALIDATORS["pattern"]
    yield from inner(validator, pattern, value, {}) or ()


_Validator = extend(Draft202012Validator, {"pattern": _pattern})
