"""Templates are tried before anybody is served by them."""

import pytest

from services.registry.domain.bounds import Invalid
from services.registry.domain.prompts import complete_prompt, for_training
from services.registry.domain.values import Prompt

TONE = "Answer in a {{ tone }} tone.\n{{ question }}"


def test_a_prompt_with_declared_variables_is_accepted() -> None:
    full = complete_prompt(Prompt(template=TONE, variables=("tone",)))

    assert full.max_characters == 32_768


def test_the_question_itself_is_a_prompt() -> None:
    assert complete_prompt(Prompt()).template == ""


def test_arithmetic_on_what_a_loop_counts_is_accepted() -> None:
    template = (
        "{% for line in question.splitlines() %}{{ loop.index * 2 % 3 }}{{ line }}{% endfor %}"
    )

    complete_prompt(Prompt(template=template))


def test_a_variable_may_be_called_as_a_filter_is() -> None:
    complete_prompt(Prompt(template="{{ format }}: {{ question }}", variables=("format",)))


def test_the_order_of_variables_is_no_difference() -> None:
    one, other = (
        complete_prompt(Prompt(template="{{ a }}{{ b }}", variables=names))
        for names in (("b", "a"), ("a", "b"))
    )

    assert one == other


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        (Prompt(template=TONE), r"uses \['tone'\]"),
        (Prompt(template="{{ question }}", variables=("tone",)), "does not use"),
        (Prompt(variables=("tone",)), "is empty"),
        (Prompt(template="hello"), "must use `question`"),
        (Prompt(template="{{ question }", variables=()), "compile"),
        (Prompt(template="{{ Tone }}", variables=("Tone",)), "variables"),
        (Prompt(template="{{ question }}", variables=("question",)), "variables"),
        (Prompt(template="{{ a }}", variables=("a", "a")), "names one twice"),
        (Prompt(template="{% include question %}"), "include"),
        (Prompt(template="{{ question.__class__.mro() }}"), "cannot be rendered"),
        (Prompt(template="{{ 1 // 0 }}{{ question }}"), "cannot be rendered"),
        (Prompt(template="{{ question }}" * 2, max_characters=30), "max_characters"),
        (
            Prompt(template="{% for i in range(90000) %}{{ question }}{% endfor %}"),
            "max_characters",
        ),
        (
            Prompt(
                template="{% for i in range(9) %}{% for j in range(9) %}{{ question }}"
                "{% endfor %}{% endfor %}"
            ),
            "loop within a loop",
        ),
        (Prompt(template="{% for c in [question] recursive %}{{ c }}{% endfor %}"), "loop within"),
        (
            Prompt(
                template="{% set all %}{% for c in question %}{{ question }}{% endfor %}"
                "{% endset %}{{ all }}"
            ),
            "kept until its end",
        ),
        (Prompt(template="{{ question * (n | int) }}", variables=("n",)), "multiply"),
        (Prompt(template="{{ 'x' * 1000000000000 }}{{ question }}"), "multiply"),
        (Prompt(template="{{ 9 ** 9 ** 9 ** 9 }}{{ question }}"), r"must not use \*\*"),
        (
            Prompt(template="{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(question) }}"),
            "must not have macros",
        ),
        (
            Prompt(
                template="{% set all = namespace(x=question) %}{% for i in range(60) %}"
                "{% set all.x = all.x ~ all.x %}{% endfor %}{{ all.x }}"
            ),
            "assign to a namespace",
        ),
        (Prompt(template="{{ question | center(10**12) }}"), "must not use `center`"),
        (Prompt(template="{{ lipsum(10**9) }}{{ question }}"), "must not use `lipsum`"),
        (Prompt(template="{{ question['ljust'](999999999999) }}"), "must not use `ljust`"),
    ],
)
def test_a_prompt_that_cannot_serve_is_refused_with_its_reason(prompt: Prompt, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        complete_prompt(prompt)


def test_rows_of_a_dataset_have_no_variables() -> None:
    tuned = for_training(Prompt(1, TONE, ("tone",), 100))

    complete_prompt(Prompt(template=tuned))
    assert tuned == '{% set tone = "" %}' + TONE
