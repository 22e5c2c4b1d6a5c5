"""TensorRT-LLM's LLM API as the engine of ``model.py``: admit, step, read, rebuild.

The engine batches by itself; here one event loop follows its answers, and ``step`` waits for
news of any of them. Stop words and text are ``model.py``'s, as on every other runtime.
"""

import asyncio
import json
import os
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
import yaml
from engine_key import mismatches, this_host
from request import Adapter, Refused, Request

STEP_S = 0.01
"""Longest wait for news; cancellation is looked for in between."""
MPI_OF_THE_PARENT = ("OMPI_COMM_WORLD_", "OMPI_MCA_orte_", "ORTE_", "PMIX_RANK", "PMIX_NAMESPACE")
"""Left in the environment by an ``mpirun`` around Triton, they keep LLM() from its own ranks."""
HERE = Path(__file__).parent


class Handle:
    """One answer; the loop's thread writes its news, the engine thread reads them."""

    def __init__(self) -> None:
        self.fresh: deque[tuple[list[int], list[float], str | None]] = deque()
        self.failure: Exception | None = None
        self.following: Future[None] | None = None

    def cancel(self) -> None:
        """Free the slot."""
        if self.following is not None:
            self.following.cancel()


class Engine:
    """One LLM(); only the engine thread may call it after ``build``.

    Args:
        parameters: of config.pbtxt: ``adapters``, the directory below which adapters may lie,
            "" for none; ``prefix_reuse``, "true" keeps blocks of prompts for those that begin
            alike.
    Raises:
        RuntimeError: the engine was built for another host; the message says what differs.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        built = json.loads((HERE / "engine_key.json").read_text())
        if differences := mismatches(built, this_host()):
            raise RuntimeError("the engine is not for this host: " + "; ".join(differences))
        self._arguments = yaml.safe_load((HERE / "model.yaml").read_text())
        del self._arguments["triton_config"]
        self._arguments["model"] = str(HERE.parent / self._arguments["model"])
        reuse = parameters.get("prefix_reuse") == "true"
        self._arguments["kv_cache_config"]["enable_block_reuse"] = reuse
        self.context_tokens = int(self._arguments["max_seq_len"])
        self._adapters = parameters.get("adapters", "")
        self._paths: dict[int, str] = {}
        self._news = threading.Event()
        self._llm: Any = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="answers", daemon=True).start()
        self.build()

    def build(self) -> None:
        """Load the weights; also the way back after the engine failed."""
        for name in [n for n in os.environ if n.startswith(MPI_OF_THE_PARENT)]:
            del os.environ[name]
        from tensorrt_llm import llmapi  # initialises CUDA, so not before the environment is right

        self.close()
        self._api: Any = llmapi
        self._llm = llmapi.LLM(**self._arguments)

    def close(self) -> None:
        """End the engine's processes."""
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        rendered: str = self._llm.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return rendered

    def admit(self, request: Request) -> None:
        """Put a request into the batch.

        Raises:
            Refused: its adapter may not be used.
        """
        adapter = request.adapter and self._adapter(request.adapter)
        handle = Handle()
        following = self._follow(handle, request.ids, sampling(request, self._api), adapter)
        handle.following = asyncio.run_coroutine_threadsafe(following, self._loop)
        request.handle = handle

    def step(self) -> None:
        """Wait for news of anybody in the batch, but not for long."""
        self._news.wait(STEP_S)
        self._news.clear()

    def _adapter(self, asked: Adapter) -> Any:
        """The engine caches weights by id, so an id keeps its path for ever."""
        root = os.path.realpath(self._adapters) if self._adapters else ""
        path = os.path.realpath(asked.path)
        if not root or not path.startswith(root + os.sep) or not os.path.isdir(path):
            raise Refused(f"adapter {asked.name}: there is no such adapter here")
        if asked.id < 1:
            raise Refused(f"adapter {asked.name}: lora_id must be at least 1")
        if self._paths.setdefault(asked.id, path) != path:
            raise Refused(f"adapter {asked.name}: lora_id {asked.id} names another path")
        return self._api.LoRARequest(asked.name, asked.id, path)

    async def _follow(self, handle: Handle, ids: list[int], parameters: Any, adapter: Any) -> None:
        """Hand the engine's words on; cancelled, free its slot."""
        answer: Any = None
        try:
            answer = self._llm.generate_async(
                ids, sampling_params=parameters, lora_request=adapter, streaming=True
            )
            seen = 0
            async for _ in answer:
                output = answer.outputs[0]
                handle.fresh.append(_since(output, seen))
                seen = len(output.token_ids)
                self._news.set()
        except asyncio.CancelledError:
            if answer is not None:
                answer.abort()
            raise
        except (self._api.RequestError, ValueError, TypeError) as error:
            pb_utils.Logger.log_error(f"request refused by the engine: {error!r}")
            handle.failure = Refused("the engine refused the request")
        except Exception as error:
            handle.failure = error
        self._news.set()


def news(handle: Handle) -> tuple[list[int], list[float], str | None]:
    """``(token ids, their log-probabilities, reason or None)`` since the last call.

    Raises:
        Refused: the engine would not answer this request.
        Exception: the engine failed.
    """
    ids: list[int] = []
    scores: list[float] = []
    reason: str | None = None
    while handle.fresh:
        more, their_scores, reason = handle.fresh.popleft()
        ids += more
        scores += their_scores
    if reason in ("timeout", "cancelled"):
        raise Refused(f"the engine ended the answer: {reason}")
    if handle.failure is not None and not ids:
        raise handle.failure
    return ids, scores, reason


def sampling(request: Request, api: Any) -> Any:
    """SamplingParams of a request. Temperature 0 is greedy: the engine wants it above 0."""
    values: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "detokenize": False,
        "frequency_penalty": request.frequency_penalty or None,
        "presence_penalty": request.presence_penalty or None,
        "min_tokens": request.min_tokens or None,
    }
    if request.temperature > 0:
        values |= {
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
        }
        if request.top_k:
            values["top_k"] = request.top_k
    else:
        values["top_k"] = 1
    if request.return_cumulative_logprob or request.return_log_probs:
        values["logprobs"] = 1
    if request.json_schema:
        values["guided_decoding"] = api.GuidedDecodingParams(json=request.json_schema)
    return api.SamplingParams(**values)


def _since(output: Any, seen: int) -> tuple[list[int], list[float], str | None]:
    """The new tokens of an output that grows; scores are 0 when none were asked for."""
    ids = list(output.token_ids[seen:])
    entries = list(output.logprobs or [])[seen:]
    scores = [_score(entry, token) for entry, token in zip(entries, ids, strict=False)]
    return ids, scores + [0.0] * (len(ids) - len(scores)), output.finish_reason


def _score(entry: Any, token: int) -> float:
    """Of the token that was taken, in nats; an entry is a number, or a value per token."""
    return float(entry[token].logprob if isinstance(entry, dict) else entry)
