"""Prompts: what a template may be, tried before anybody is served by it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.registry.domain.bounds import insist, outside
from services.registry.domain.values import Application, Prompt

VARIABLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
QUESTION: Final = "question"
MAX_VARIABLES: Final = 32
MAX_TEMPLATE_CHARACTERS: Final = 16_384
DEFAULT_MAX_CHARACTERS: Final = 32_768
MOST_MAX_CHARACTERS: Final = 1_048_576
SAMPLES: Final = ("a question of some words?", "{{ }} {% \u00e4\u6f22 %}", "1")
"""Tried for every variable at once, in turn. An empty text may well be refused by a template."""
MOST_TIMES: Final = 100
OUTSIDE: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
REFUSED: Final = (
    (OUTSIDE, "must not include or import"),
    ((nodes.Macro, nodes.CallBlock), "must not have macros"),
    (nodes.NSRef, "must not assign to a namespace"),
    (nodes.Pow, "must not use **"),
)
PADDING: Final = frozenset(
    {
        *("attr", "center", "expandtabs", "format", "format_map", "indent", "ljust", "map"),
        *("rjust", "wordwrap", "zfill"),
    }
)
"""What makes a text as long as an argument says; and ``attr`` and ``map``, which lead there."""
LIPSUM: Final = "lipsum"


def prompt_of(application: Application) -> Prompt:
    """What the application declares, without a version."""
    return Prompt(
        template=application.prompt_template,
        variables=tuple(sorted(application.prompt_variables)),
        max_characters=DEFAULT_MAX_CHARACTERS,
    )


def complete_prompt(given: Prompt) -> Prompt:
    """With its defaults, checked.

    Raises:
        Invalid: naming what is wrong.
    """
    full = replace(
        given,
        variables=tuple(sorted(given.variables)),
        max_characters=given.max_characters or DEFAULT_MAX_CHARACTERS,
    )
    insist(prompt_problems(full))
    return full


def for_training(prompt: Prompt) -> str:
    """The template over ``question`` alone: rows of a dataset have no variables, they are ""."""
    unset = "".join(f'{{% set {name} = "" %}}' for name in prompt.variables)
    return unset + prompt.template


def prompt_problems(
    prompt: Prompt, template: str = "template", variables: str = "variables"
) -> Iterator[str]:
    """What is wrong with ``prompt``; its parts are called by the names given."""
    yield from outside((("max_characters", prompt.max_characters, 1, MOST_MAX_CHARACTERS),))
    yield from (f"{variables}: {each}" for each in _variable_problems(prompt.variables))
    yield from (f"{template} {each}" for each in _template_problems(prompt))


def _variable_problems(names: tuple[str, ...]) -> Iterator[str]:
    if len(names) > MAX_VARIABLES:
        yield f"{len(names)} of at most {MAX_VARIABLES}"
    if len(set(names)) < len(names):
        yield f"{sorted(names)} names one twice"
    for name in names:
        if not VARIABLE.fullmatch(name) or name == QUESTION:
            yield f"{name[:80]!r}: 1 to 63 of a-z, 0-9 and _, no digit first, and not `{QUESTION}`"


def _template_problems(prompt: Prompt) -> Iterator[str]:
    if not prompt.template:
        if prompt.variables:
            yield f"is empty: it uses none of {list(prompt.variables)}"
        return
    if len(prompt.template) > MAX_TEMPLATE_CHARACTERS:
        yield f"has {len(prompt.template)} of at most {MAX_TEMPLATE_CHARACTERS} characters"
        return
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, extensions=["jinja2.ext.loopcontrols"]
    )
    try:
        tree = environment.parse(prompt.template)
        environment.from_string(prompt.template)
    except (TemplateError, RecursionError) as error:
        yield f"does not compile: {error}"
        return
    problems = [
        *_name_problems(prompt, meta.find_undeclared_variables(tree)),
        *_shape_problems(tree),
    ]
    yield from problems or _render_problems(prompt, environment)


def _name_problems(prompt: Prompt, used: set[str]) -> Iterator[str]:
    declared = set(prompt.variables)
    if unknown := sorted(used - declared - {QUESTION}):
        yield f"uses {unknown}, which are neither `{QUESTION}` nor declared variables"
    if unused := sorted(declared - used):
        yield f"does not use the declared variables {unused}"
    if not used:
        yield f"must use `{QUESTION}` or a declared variable"


def _shape_problems(tree: nodes.Template) -> Iterator[str]:
    """What lets a short template take for ever, fill the memory, or reach for other templates."""
    for loop in tree.find_all(nodes.For):
        if loop.recursive or any(inner is not loop for inner in loop.find_all(nodes.For)):
            yield "has a loop within a loop"
    for block in tree.find_all((nodes.AssignBlock, nodes.FilterBlock)):
        if any(True for _ in block.find_all(nodes.For)):
            yield "has a loop within a block that is kept until its end"
    for kinds, problem in REFUSED:
        if any(True for _ in tree.find_all(kinds)):
            yield problem
    for product in tree.find_all(nodes.Mul):
        if not (_is_small(product.left) or _is_small(product.right)):
            yield f"must multiply by a number up to {MOST_TIMES}, spelled out"
    for name in sorted(PADDING.intersection(_called(tree))):
        yield f"must not use `{name}`"
    if any(node.name == LIPSUM for node in tree.find_all(nodes.Name)):
        yield f"must not use `{LIPSUM}`"


def _called(tree: nodes.Template) -> Iterator[object]:
    """Names of filters and attributes."""
    yield from (node.name for node in tree.find_all(nodes.Filter))
    yield from (node.attr for node in tree.find_all(nodes.Getattr))
    for node in tree.find_all(nodes.Getitem):
        if isinstance(node.arg, nodes.Const):
            yield node.arg.value


def _is_small(node: nodes.Expr) -> bool:
    value = node.value if isinstance(node, nodes.Const) else None
    return isinstance(value, int | float) and abs(value) <= MOST_TIMES


def _render_problems(prompt: Prompt, environment: ImmutableSandboxedEnvironment) -> Iterator[str]:
    template = environment.from_string(prompt.template)
    for sample in SAMPLES:
        given = dict.fromkeys((QUESTION, *prompt.variables), sample)
        length = 0
        try:
            for piece in template.generate(given):
                length += len(piece)
                if length > prompt.max_characters:
                    yield f"renders more than max_characters {prompt.max_characters}"
                    return
        except Exception as error:  # a template may raise whatever Python does
            yield f"cannot be rendered with {sample!r}: {type(error).__name__}: {error}"
            return
