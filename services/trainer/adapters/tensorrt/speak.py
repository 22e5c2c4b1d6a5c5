"""A TensorRT-LLM engine beside the clock. Runs in its image, on its GPUs.

Not run anywhere yet but over a stand-in of ``tensorrt_llm``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import yaml

from services.trainer.adapters.speech import GREEDY, Answer, Sampling


class Engine:
    """The model directory that is served, loaded by the same arguments but two: blocks that are
    reused, and prompts in chunks, leave no logits to score."""

    def __init__(self, model: Path) -> None:
        from tensorrt_llm import llmapi  # it takes the GPUs

        arguments = yaml.safe_load((model / "1" / "model.yaml").read_text())
        del arguments["triton_config"]
        arguments["model"] = str(model / arguments["model"])
        arguments["enable_chunked_prefill"] = False
        arguments["kv_cache_config"]["enable_block_reuse"] = False
        self._api: Any = llmapi
        self._llm: Any = llmapi.LLM(**arguments)
        self._end = int(self._llm.tokenizer.eos_token_id)

    def score(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """One after the other: the logits of a long row are half a gigabyte."""
        return [self._score(list(ids)) for ids in sequences]

    def answer(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, sampling: Sampling = GREEDY
    ) -> list[Answer]:
        parameters = self._parameters(max_new_tokens, sampling)

        async def everybody() -> list[Answer]:
            began = time.monotonic()
            return await asyncio.gather(
                *(self._follow(list(ids), parameters, began) for ids in prompts)
            )

        return asyncio.run(everybody())

    def close(self) -> None:
        self._llm.shutdown()

    def _score(self, ids: list[int]) -> list[float]:
        asked = self._api.SamplingParams(
            max_tokens=1, detokenize=False, return_context_logits=True, top_k=1
        )
        answer = self._llm.generate(ids, sampling_params=asked, use_tqdm=False)
        logits = answer.context_logits.float().cpu().numpy()
        logits = logits.reshape(len(ids), -1)[:-1].astype(numpy.float64)
        likeliest = logits.max(axis=1)
        total = likeliest + numpy.log(numpy.exp(logits - likeliest[:, None]).sum(axis=1))
        taken = logits[numpy.arange(len(ids) - 1), ids[1:]]
        return [float(score) for score in taken - total]

    async def _follow(self, ids: list[int], parameters: Any, began: float) -> Answer:
        found = Answer()
        running = self._llm.generate_async(ids, sampling_params=parameters, streaming=True)
        async for _ in running:
            said = list(running.outputs[0].token_ids)
            now = time.monotonic() - began
            if said and not found.ids:
                found.first_s = now
            found.ids, found.last_s = said, now
        if running.outputs[0].finish_reason == "stop" and found.ids[-1:] != [self._end]:
            found.ids = [*found.ids, self._end]  # it is heard, not handed out
        return found

    def _parameters(self, max_new_tokens: int, sampling: Sampling) -> Any:
        values: dict[str, Any] = {
            "max_tokens": max_new_tokens,
            "detokenize": False,
            "frequency_penalty": sampling.frequency_penalty or None,
            "presence_penalty": sampling.presence_penalty or None,
        }
        if sampling.temperature > 0:
            values |= {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "seed": sampling.seed,
            }
            if sampling.top_k:
                values["top_k"] = sampling.top_k
        else:
            values["top_k"] = 1
        return self._api.SamplingParams(**values)
