"""What the files beside the base model's weights say of it."""

import json
from pathlib import Path
from typing import Any

from libs.faults import Poison
from services.trainer.ports import Chat


def chat_of(base_model: Path) -> Chat:
    """As the tokenizer that trains and measures asks: its ``chat_template.jinja``, and the tokens
    of its ``tokenizer_config.json``, where there is one.

    Raises:
        Poison: ``bad_request``: that file is not JSON.
    """
    template = (base_model / "chat_template.jinja").read_text()
    config = base_model / "tokenizer_config.json"
    if not config.exists():
        return Chat(template)
    try:
        said: dict[str, Any] = json.loads(config.read_text())
        return Chat(template, _token(said.get("bos_token")), _token(said.get("eos_token")))
    except (ValueError, AttributeError, KeyError) as error:
        raise Poison(f"{config}: {error!r}", code="bad_request") from error


def _token(said: Any) -> str:
    """A token is a string, or an object that holds one as its ``content``."""
    return str(said["content"] if isinstance(said, dict) else said or "")
