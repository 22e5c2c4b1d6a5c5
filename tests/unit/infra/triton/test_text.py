"""Stop words across tokens, in the engine's model code."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

CODE = Path(__file__).parents[4] / "infra" / "triton" / "llm" / "1" / "text.py"


def text(pieces: list[str | None], *stop: str) -> Any:
    spec = spec_from_file_location("triton_llm_text", CODE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Text(lambda token: pieces[token], stop)


def sent(pieces: list[str | None], *stop: str) -> list[str]:
    growing, ready = text(pieces, *stop), []
    for token in range(len(pieces)):
        ready.append(growing.push(token))
        if growing.stopped:
            return ready
    return [*ready, growing.rest()]


def test_without_stop_words_nothing_waits() -> None:
    assert sent(["The", " end", None, "!"]) == ["The", " end", "", "!", ""]


def test_a_stop_word_split_over_tokens_is_never_sent() -> None:
    assert sent(["a", "b EN", "D c"], "END") == ["a", "b ", ""]


def test_what_only_began_like_a_stop_word_is_sent_late() -> None:
    assert sent(["x EN", "TER"], "END") == ["x ", "ENTER", ""]


def test_the_rest_is_sent_when_the_answer_ends_in_half_a_stop_word() -> None:
    assert sent(["x E"], "END") == ["x ", "E"]


def test_the_earliest_of_several_stop_words_counts() -> None:
    assert sent(["one two three"], "three", "two") == ["one "]


@pytest.mark.parametrize("split", range(1, 12))
def test_the_text_is_the_same_however_it_is_cut(split: int) -> None:
    whole = "aab aaab aaac done"
    pieces: list[str | None] = [whole[at : at + split] for at in range(0, len(whole), split)]

    assert "".join(sent(pieces, "aaac")) == "aab aaab "
