"""An OpenVINO engine beside the clock: it scores given tokens, answers greedily, and is timed.

Runs in the model environment. The batch is fed as the served engine's is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import openvino
import openvino_genai as genai

from services.trainer.adapters.speech import GREEDY, Answer, Sampling

CACHE_BLOCKS = 512
"""Of 32 tokens: eight long answers at once, 240 MB for a model of 135 M weights."""


class Engine:
    """One GGUF file, loaded."""

    def __init__(self, gguf: Path) -> None:
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = CACHE_BLOCKS
        scheduler.enable_prefix_caching = False
        self._pipeline: Any = genai.ContinuousBatchingPipeline(str(gguf), scheduler, "CPU")
        self._eos = self._pipeline.get_config().eos_token_id
        self._number = 0

    def score(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        found = self._run(sequences, 1, GREEDY, echo=True)
        return [
            answer.log_probs[1 : len(ids)] for answer, ids in zip(found, sequences, strict=True)
        ]

    def answer(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, sampling: Sampling = GREEDY
    ) -> list[Answer]:
        return self._run(prompts, max_new_tokens, sampling, echo=False)

    def close(self) -> None:
        self._pipeline = None

    def _run(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        sampling: Sampling,
        *,
        echo: bool,
    ) -> list[Answer]:
        began = time.monotonic()
        handles = [self._admit(ids, max_new_tokens, sampling, echo=echo) for ids in prompts]
        answers = [Answer() for _ in handles]
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            now = time.monotonic() - began
            for handle, answer in zip(handles, answers, strict=True):
                _read(handle, answer, now)
        return answers

    def _admit(
        self, prompt: Sequence[int], max_new_tokens: int, sampling: Sampling, *, echo: bool
    ) -> Any:
        config = genai.GenerationConfig()
        config.eos_token_id = self._eos
        config.stop_token_ids = {self._eos}
        config.max_new_tokens = max_new_tokens
        config.apply_chat_template = False
        config.logprobs = 1
        config.echo = echo
        config.frequency_penalty = sampling.frequency_penalty
        config.presence_penalty = sampling.presence_penalty
        if sampling.temperature > 0:
            config.do_sample = True
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            config.rng_seed = sampling.seed
            if sampling.top_k:
                config.top_k = sampling.top_k
        self._number += 1
        ids = openvino.Tensor(numpy.array([prompt], dtype=numpy.int64))
        return self._pipeline.add_request(self._number, ids, config)


def _read(handle: Any, answer: Answer, now: float) -> None:
    while handle.can_read():
        for output in handle.read().values():
            if output.generated_ids and not answer.ids:
                answer.first_s = now
            answer.ids += output.generated_ids
            answer.log_probs += output.generated_log_probs
            answer.last_s = now
