"""The bounds of a request, whichever door it came through."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from libs.faults import Poison
from services.inference.domain.generation import Ask, Message

MAX_MESSAGES: Final = 64
MAX_PROMPT_BYTES: Final = 64 * 1024
MAX_TOKENS: Final = 4096
MAX_STOPS: Final = 4
MAX_STOP_CHARACTERS: Final = 64
MAX_ID_CHARACTERS: Final = 128
MAX_LABELS: Final = 16
MAX_LABEL_NAME: Final = 64
MAX_LABEL_VALUE: Final = 512
MAX_SEED: Final = 2**63 - 1
ROLES: Final = frozenset({"system", "user", "assistant"})


class BadParameter(Poison):
    """A request parameter is wrong; ``param`` names it."""

    def __init__(self, param: str, message: str, *, code: str = "invalid_value") -> None:
        super().__init__(f"{param}: {message}", code=code)
        self.param = param


def checked(ask: Ask) -> Ask:
    """``ask`` itself, when it keeps every bound.

    Raises:
        BadParameter: names the first that it breaks.
    """
    _messages(ask.messages)
    _within("max_tokens", ask.max_tokens, 1, MAX_TOKENS)
    _within("temperature", ask.temperature, 0.0, 2.0)
    _within("top_p", ask.top_p, 1e-6, 1.0)
    _within("seed", ask.seed, 0, MAX_SEED)
    _stops(ask.stop)
    _short("episode_id", ask.episode_id, MAX_ID_CHARACTERS)
    _short("user", ask.subject, MAX_ID_CHARACTERS)
    _labels(ask.labels)
    return ask


def _messages(messages: Sequence[Message]) -> None:
    if not 1 <= len(messages) <= MAX_MESSAGES:
        raise BadParameter("messages", f"{len(messages)} of them; 1 to {MAX_MESSAGES} are taken")
    for index, message in enumerate(messages):
        if message.role not in ROLES:
            raise BadParameter(
                f"messages[{index}].role", f"{message.role[:32]!r} is not one of {sorted(ROLES)}"
            )
    size = sum(len(message.content.encode(errors="surrogatepass")) for message in messages)
    if size > MAX_PROMPT_BYTES:
        raise BadParameter(
            "messages", f"{size} bytes of content; at most {MAX_PROMPT_BYTES}", code="too_long"
        )
    if not any(message.role == "user" and message.content.strip() for message in messages):
        raise BadParameter("messages", "no user message with content")
    for index, message in enumerate(messages):
        if not message.content.isascii() and not _encodable(message.content):
            raise BadParameter(f"messages[{index}].content", "has lone surrogates: not text")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _within(param: str, value: float | None, least: float, most: float) -> None:
    if value is None:
        return
    if not math.isfinite(value) or not least <= value <= most:
        raise BadParameter(param, f"{value} is outside {least} to {most}")


def _stops(stops: Sequence[str]) -> None:
    if len(stops) > MAX_STOPS:
        raise BadParameter("stop", f"{len(stops)} of them; at most {MAX_STOPS}")
    for stop in stops:
        if not stop or not _encodable(stop):
            raise BadParameter("stop", "a stop must be text, and not empty")
        _short("stop", stop, MAX_STOP_CHARACTERS)


def _short(param: str, text: str, most: int) -> None:
    if len(text) > most:
        raise BadParameter(param, f"{len(text)} characters; at most {most}", code="too_long")
    if not _encodable(text):
        raise BadParameter(param, "has lone surrogates: not text")


def _labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MAX_LABELS:
        raise BadParameter("metadata", f"{len(labels)} labels; at most {MAX_LABELS}")
    for name, value in labels.items():
        _short("metadata", name, MAX_LABEL_NAME)
        _short(f"metadata[{name[:MAX_LABEL_NAME]!r}]", value, MAX_LABEL_VALUE)
