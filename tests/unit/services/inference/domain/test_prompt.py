from dataclasses import replace
from datetime import UTC, datetime

import pytest
from jinja2 import TemplateError
from jinja2.exceptions import SecurityError

from services.inference.domain.generation import Message, sampling
from services.inference.domain.prompt import BadValues, BadVariable, PromptTooLong, render
from services.inference.domain.release import Decoding, Engine, Prompt, Release
from tests.unit.services.inference.fakes import CHAMPION, ask, release

NOW = datetime(2030, 1, 2, tzinfo=UTC)
CHAT = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}{% if tools %}never{% endif %}"
)


def chatting(prompt_template: str = "", chat_template: str = CHAT) -> Release:
    old = CHAMPION.engine
    engine = Engine(old.digest, old.weights, old.tokenizer, chat_template)
    return release("champion", engine=engine, prompt_template=prompt_template)


def test_the_chat_template_gets_all_messages() -> None:
    messages = (Message("system", "Be brief."), Message("user", "Hi"))

    text = render(chatting(), messages, NOW)

    assert text == "<|system|>Be brief.\n<|user|>Hi\n<|assistant|>"


def test_the_chat_template_has_the_tokens_that_begin_and_end_and_the_date() -> None:
    asked = chatting(
        chat_template="{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
        "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}"
    )
    asked = replace(asked, engine=replace(asked.engine, bos_token="<s>", eos_token="</s>"))

    assert render(asked, (Message("user", "Hi"),), NOW) == "<s>Hi</s>02 Jan 2030"


def test_the_prompt_template_wraps_the_last_user_message_only() -> None:
    messages = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))

    text = render(chatting("Q: {{ question }}"), messages, NOW)

    assert text == "<|user|>one\n<|assistant|>two\n<|user|>Q: three\n<|assistant|>"


def test_a_question_is_data_and_no_template() -> None:
    text = render(chatting("{{ question }}"), (Message("user", "{{ 7 * 7 }}"),), NOW)

    assert "{{ 7 * 7 }}" in text


@pytest.mark.parametrize("template", ["{{ questoin }}", "{% if %}", "{{ raise_exception('no') }}"])
def test_a_template_that_cannot_be_filled_is_an_error(template: str) -> None:
    with pytest.raises(TemplateError):
        render(chatting(template), (Message("user", "Hi"),), NOW)


def test_a_template_cannot_leave_its_sandbox() -> None:
    with pytest.raises(SecurityError):
        render(chatting("{{ question.__class__.__mro__ }}"), (Message("user", "Hi"),), NOW)


def test_a_request_may_ask_for_less_than_the_release_allows_and_not_for_more() -> None:
    decoding = Decoding(max_tokens=64, temperature=0.3, top_p=0.0, seed=0)
    generation_id = "01980000-0000-7000-8000-000000000000"

    assert sampling(ask(max_tokens=10), decoding, generation_id).max_tokens == 10
    assert sampling(ask(max_tokens=900), decoding, generation_id).max_tokens == 64
    assert sampling(ask(), decoding, generation_id).temperature == 0.3
    assert sampling(ask(temperature=0.0), decoding, generation_id).temperature == 0.0
    assert sampling(ask(), decoding, generation_id).top_p == 1.0


def test_an_unseeded_answer_draws_its_seed_from_its_id() -> None:
    decoding = Decoding(max_tokens=64, temperature=1.0, top_p=1.0, seed=0)
    one, other = "01980000-0000-7000-8000-00000000000a", "01980000-0000-7000-8000-00000000000b"

    assert sampling(ask(), decoding, one) == sampling(ask(), decoding, one)
    assert sampling(ask(), decoding, one).seed != sampling(ask(), decoding, other).seed
    assert sampling(ask(seed=5), decoding, one).seed == 5


def asking(template: str, *variables: str, max_characters: int = 100) -> Release:
    prompt = Prompt(version=2, variables=variables, max_characters=max_characters)
    return replace(chatting(template), prompt=prompt)


def test_variables_fill_the_prompt_in_the_place_of_a_message() -> None:
    text = render(
        asking("{{ city }} in {{ year }}", "city", "year"), (), NOW, {"city": "Rome", "year": "1"}
    )

    assert text == "<|user|>Rome in 1\n<|assistant|>"


def test_variables_and_a_question_fill_the_prompt_together() -> None:
    messages = (Message("user", "Why?"),)

    text = render(asking("{{ city }}: {{ question }}", "city"), messages, NOW, {"city": "Rome"})

    assert text == "<|user|>Rome: Why?\n<|assistant|>"


def test_a_variable_is_data_and_no_template() -> None:
    text = render(asking("{{ city }}", "city"), (), NOW, {"city": "{{ 7 * 7 }}"})

    assert "{{ 7 * 7 }}" in text


@pytest.mark.parametrize(
    ("variables", "name"),
    [({}, "city"), ({"city": "Rome", "towns": "1"}, "towns"), ({"question": "x"}, "question")],
)
def test_a_variable_too_many_or_too_few_is_named(variables: dict[str, str], name: str) -> None:
    with pytest.raises(BadVariable) as refusal:
        render(asking("{{ city }}", "city"), (Message("user", "Hi"),), NOW, variables)

    assert refusal.value.name == name


def test_variables_alone_are_no_request_without_a_prompt() -> None:
    with pytest.raises(BadVariable):
        render(chatting(), (), NOW)


def test_a_prompt_that_grows_too_long_is_given_up_while_it_grows() -> None:
    endless = asking(
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
    )

    with pytest.raises(PromptTooLong):
        render(endless, (Message("user", "Hi"),), NOW)


@pytest.mark.parametrize(
    ("template", "number"),
    [
        ("{{ 7 // (city | int) }}", "0"),
        ("{{ 10 ** (city | int) }}", "9"),
        ("{{ 'x' % city }}", "9"),
        ("{{ range(city | int) | list }}", "1000000"),
        ("{{ [1, 2][city | int] }}", "2"),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(city) }}", "1"),
        ("{{ raise_exception('no ' ~ city) }}", "Rome"),
    ],
)
def test_a_prompt_that_fails_with_the_values_of_a_request_says_so(
    template: str, number: str
) -> None:
    with pytest.raises(BadValues):
        render(asking(template, "city"), (Message("user", "Hi"),), NOW, {"city": number})


def test_a_text_is_not_multiplied_beyond_all_bounds() -> None:
    ruled = asking("{{ '-' * (city | int) }}", "city")

    assert "---\n" in render(ruled, (Message("user", "Hi"),), NOW, {"city": "3"})
    with pytest.raises(PromptTooLong):
        render(ruled, (Message("user", "Hi"),), NOW, {"city": "99999999999"})


def test_a_chat_template_may_refuse_messages_and_may_not_raise_anything_else() -> None:
    alternating = chatting(chat_template="{{ raise_exception('roles must alternate') }}")
    broken = chatting(chat_template="{{ 1 // 0 }}")

    with pytest.raises(BadValues, match="roles must alternate"):
        render(alternating, (Message("user", "Hi"),), NOW)
    with pytest.raises(TemplateError, match="ZeroDivisionError") as failure:
        render(broken, (Message("user", "Hi"),), NOW)
    assert not isinstance(failure.value, BadValues)


def test_each_choice_draws_a_seed_of_its_own() -> None:
    decoding = Decoding(max_tokens=64, temperature=1.0, top_p=1.0, seed=7)
    generation_id = "01980000-0000-7000-8000-000000000000"

    seeds = [sampling(ask(seed=5, choice=each), decoding, generation_id).seed for each in range(3)]

    assert seeds == [5, 6, 7]
    assert sampling(ask(choice=1), decoding, generation_id).seed == 8
