"""Questions and answers as token ids, in the base model's own chat template.

Runs in the model environment.
"""

from __future__ import annotations

from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers import PreTrainedTokenizerBase

from services.trainer.adapters.pairs import BadDataset


class ChatTokens:
    """Tokens of the base model's own chat template, one user message.

    ``prompt_template`` is the application's, over ``question``; "" is the question itself.

    Raises:
        BadDataset: the template cannot be rendered.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt_template: str) -> None:
        self._tokenizer = tokenizer
        self._template = ImmutableSandboxedEnvironment().from_string(
            prompt_template or "{{ question }}"
        )

    def prompt(self, question: str) -> list[int]:
        try:
            content = self._template.render(question=question)
        except Exception as error:  # a template is a program: 1 / 0 is an error of its author
            raise BadDataset(f"prompt template: {error}") from error
        text = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return self._ids(str(text))

    def answer(self, text: str) -> list[int]:
        return [*self._ids(text), int(self._tokenizer.eos_token_id)]

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
