"""What can be served, and for whom."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.inference.domain.serving import USUAL, Serving

TENSORRT_LLM: Final = "tensorrt-llm"


class Role(Enum):
    """Why a release answers. A fallback answers in the place of one that could not: its answer
    belongs to no arm of a comparison."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class File:
    """A content-addressed file."""

    uri: str
    sha256: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenAI-compatible API outside; costs are per million tokens.

    ``timeout_s`` is of one attempt. Its key is a setting, found by ``name``.
    ``omit``: parameters that it refuses. ``json``: what it is sent as response_format where an
    answer must be JSON: its "schema", "object" or "none".
    """

    name: str
    base_url: str
    model: str
    timeout_s: float = 30.0
    prompt_cost: float = 0.0
    completion_cost: float = 0.0
    max_tokens_parameter: str = "max_tokens"
    omit: frozenset[str] = frozenset()
    json: str = "schema"

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Of one answer, in the application's currency."""
        parts = prompt_tokens * self.prompt_cost + completion_tokens * self.completion_cost
        return parts / 1_000_000


@dataclass(frozen=True, slots=True)
class Engine:
    """``provider``: an external API answers, and there are no files.

    ``bos_token``, ``eos_token``: what ``chat_template`` may write; "" for none.
    ``runtime``: what ``weights`` are: a tar of a model directory for TensorRT-LLM, else a GGUF.
    """

    digest: str
    weights: File
    tokenizer: File
    chat_template: str
    provider: Provider | None = None
    runtime: str = ""
    bos_token: str = ""
    eos_token: str = ""

    @property
    def model_name(self) -> str:
        """Its name in Triton."""
        return model_name(self.digest)


def model_name(digest: str) -> str:
    return f"llm-{digest[:16]}"


@dataclass(frozen=True, slots=True)
class Decoding:
    """``temperature`` 0 is greedy; ``seed`` 0 draws a new one for each answer; ``top_k`` 0
    takes all tokens."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    top_k: int = 0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a template declares: its version, its variables, the bound of what it renders."""

    version: int = 0
    variables: tuple[str, ...] = ()
    max_characters: int = 32 * 1024


@dataclass(frozen=True, slots=True)
class Release:
    """``prompt`` declares what ``prompt_template`` may use beside ``question``."""

    digest: str
    engine: Engine
    prompt_template: str
    decoding: Decoding
    prompt: Prompt = Prompt()


@dataclass(frozen=True, slots=True)
class Route:
    release: Release
    role: Role
    share: float


@dataclass(frozen=True, slots=True)
class Table:
    """One application's routing: at most one route per role. ``fallbacks`` are external
    releases that answer, in order, when the routed ones cannot."""

    application: str
    version: int
    key_sha256: frozenset[str]
    salt: str
    campaign_id: str
    routes: tuple[Route, ...]
    serving: Serving = USUAL
    fallbacks: tuple[Release, ...] = ()
    currency: str = "USD"

    @property
    def releases(self) -> tuple[Release, ...]:
        """All that may answer."""
        return (*(route.release for route in self.routes), *self.fallbacks)

    def route(self, role: Role) -> Route | None:
        return next((route for route in self.routes if route.role is role), None)

    @property
    def live_campaign(self) -> str:
        """The campaign whose canary or shadow is routed; "" without one."""
        tried = self.route(Role.CANARY) or self.route(Role.SHADOW)
        return self.campaign_id if tried else ""
