"""The bounds of a request, whichever door it came through."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Final

from libs.faults import Poison
from services.inference.domain.form import MAX_SCHEMA_BYTES, BadSchema, form
from services.inference.domain.generation import MAX_SEED, Ask, Form
from services.inference.ports import CONTEXT_EXCEEDED

MAX_MESSAGES: Final = 64
MAX_PROMPT_BYTES: Final = 64 * 1024
MAX_TOKENS: Final = 4096
MAX_STOPS: Final = 4
MAX_STOP_CHARACTERS: Final = 64
MAX_ID_CHARACTERS: Final = 128
MAX_LABELS: Final = 16
MAX_LABEL_NAME: Final = 64
MAX_LABEL_VALUE: Final = 512
MAX_CHOICES: Final = 8
MAX_TOP_K: Final = 1_000_000
MAX_PENALTY: Final = 2.0
MAX_VARIABLES: Final = 32
MAX_VARIABLE_CHARACTERS: Final = 16 * 1024
ROLES: Final = frozenset({"assistant", "developer", "system", "user"})
VERDICTS: Final = frozenset({"allow", "flag", "block"})
MISSING: Final = "missing_required_parameter"


class BadParameter(Poison):
    """A request parameter is wrong; ``param`` names it."""

    def __init__(self, param: str, message: str, *, code: str = "invalid_value") -> None:
        super().__init__(f"{param}: {message}", code=code, param=param)
        self.reason = message

    def called(self, names: Mapping[str, str]) -> "BadParameter":
        """The same, with the name that the caller knows."""
        return BadParameter(names.get(self.param, self.param), self.reason, code=self.code)


def role_of(param: str, given: str) -> str:
    """A message's role: OpenAI's ``developer`` is the successor of ``system`` and means the same.

    Raises:
        BadParameter: names ``param``.
    """
    if given not in ROLES:
        raise BadParameter(param, f"{given[:32]!r} is not one of {', '.join(sorted(ROLES))}")
    return "system" if given == "developer" else given


def checked(ask: Ask) -> Ask:
    """``ask`` itself, when it keeps every bound.

    Raises:
        BadParameter: names the first that it breaks.
    """
    _messages(ask)
    _within("max_tokens", ask.max_tokens, 1, MAX_TOKENS)
    _within("temperature", ask.temperature, 0.0, 2.0)
    _within("top_p", ask.top_p, 1e-6, 1.0)
    _within("top_k", ask.top_k, 0, MAX_TOP_K)
    _within("frequency_penalty", ask.frequency_penalty, -MAX_PENALTY, MAX_PENALTY)
    _within("presence_penalty", ask.presence_penalty, -MAX_PENALTY, MAX_PENALTY)
    _within("seed", ask.seed, 0, MAX_SEED)
    _stops(ask.stop)
    _short("episode_id", ask.episode_id, MAX_ID_CHARACTERS)
    _short("user", ask.subject, MAX_ID_CHARACTERS)
    _labels(ask.labels)
    _variables(ask.variables)
    return ask


def choices(n: int | None) -> int:
    """How many answers are asked for.

    Raises:
        BadParameter: names ``n``.
    """
    _within("n", n, 1, MAX_CHOICES)
    return 1 if n is None else n


def schema_form(param: str, schema: object) -> Form:
    """The form of a parsed JSON schema.

    Raises:
        BadParameter: names ``param``; ``unsupported_schema``.
    """
    try:
        return form(schema)
    except BadSchema as error:
        raise BadParameter(param, str(error), code="unsupported_schema") from error


def schema_text_form(param: str, text: str) -> Form:
    """The form of a JSON schema's text; raises as `schema_form`."""
    if len(text) > MAX_SCHEMA_BYTES:
        raise BadParameter(param, f"above {MAX_SCHEMA_BYTES} bytes", code="unsupported_schema")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadParameter(param, "is not JSON", code="unsupported_schema") from error
    return schema_form(param, schema)


def judgements(labels: Mapping[str, str]) -> tuple[dict[str, str], float | None, str]:
    """``(labels proper, retrieval score, guard verdict)``: two names are the caller's judgements.

    Raises:
        BadParameter: names the one that is wrong.
    """
    rest = dict(labels)
    score, verdict = rest.pop("retrieval_score", None), rest.pop("guard_verdict", "")
    if verdict and verdict not in VERDICTS:
        raise BadParameter("metadata.guard_verdict", f"is not one of {sorted(VERDICTS)}")
    try:
        number = None if score is None else float(score)
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise BadParameter("metadata.retrieval_score", "is not a number")
    return rest, number, verdict


def _messages(ask: Ask) -> None:
    messages = ask.messages
    if not messages and ask.variables:
        return
    if not 1 <= len(messages) <= MAX_MESSAGES:
        raise BadParameter("messages", f"{len(messages)} of them; 1 to {MAX_MESSAGES} are taken")
    size = sum(len(message.content.encode(errors="surrogatepass")) for message in messages)
    if size > MAX_PROMPT_BYTES:
        raise BadParameter(
            "messages",
            f"{size} bytes of content; at most {MAX_PROMPT_BYTES}",
            code=CONTEXT_EXCEEDED,
        )
    asked = any(message.role == "user" and message.content.strip() for message in messages)
    if not asked and not ask.variables:
        raise BadParameter("messages", "no user message with content")
    for index, message in enumerate(messages):
        if not message.content.isascii() and not encodable(message.content):
            raise BadParameter(f"messages[{index}].content", "has lone surrogates: not text")


def encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _within(param: str, value: float | None, least: float, most: float) -> None:
    if value is None:
        return
    if not least <= value <= most:  # so is no NaN, and integers of any length are compared
        raise BadParameter(param, f"{str(value)[:24]} is outside {least} to {most}")


def _stops(stops: Sequence[str]) -> None:
    if len(stops) > MAX_STOPS:
        raise BadParameter("stop", f"{len(stops)} of them; at most {MAX_STOPS}")
    for stop in stops:
        if not stop or not encodable(stop):
            raise BadParameter("stop", "a stop must be text, and not empty")
        _short("stop", stop, MAX_STOP_CHARACTERS)


def _short(param: str, text: str, most: int) -> None:
    if len(text) > most:
        raise BadParameter(param, f"{len(text)} characters; at most {most}", code="too_long")
    if not encodable(text):
        raise BadParameter(param, "has lone surrogates: not text")


def _labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MAX_LABELS:
        raise BadParameter("metadata", f"{len(labels)} labels; at most {MAX_LABELS}")
    for name, value in labels.items():
        _short("metadata", name, MAX_LABEL_NAME)
        _short(f"metadata.{name}", value, MAX_LABEL_VALUE)


def _variables(variables: Mapping[str, str]) -> None:
    if len(variables) > MAX_VARIABLES:
        raise BadParameter("prompt_variables", f"{len(variables)} of them; at most {MAX_VARIABLES}")
    for name, value in variables.items():
        _short("prompt_variables", name, MAX_LABEL_NAME)
        _short(f"prompt_variables.{name}", value, MAX_VARIABLE_CHARACTERS)
    size = sum(len(value.encode()) for value in variables.values())
    if size > MAX_PROMPT_BYTES:
        raise BadParameter(
            "prompt_variables", f"{size} bytes; at most {MAX_PROMPT_BYTES}", code=CONTEXT_EXCEEDED
        )
