"""Greedy answers: by the engine that will serve, or by torch where there is none.

Runs in the model environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TOGETHER = 8
"""Answers that are written at once."""
CACHE_GB = 1


def openvino(gguf: str, prompts: Sequence[list[int]], max_new_tokens: int) -> list[list[int]]:
    """New token ids for each prompt, from OpenVINO GenAI's continuous batching over a GGUF."""
    import numpy
    import openvino
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = CACHE_GB
    scheduler.max_num_seqs = TOGETHER
    scheduler.enable_prefix_caching = False
    pipeline = genai.ContinuousBatchingPipeline(gguf, scheduler, "CPU")
    config = genai.GenerationConfig()
    config.max_new_tokens = max_new_tokens
    config.eos_token_id = pipeline.get_config().eos_token_id
    config.stop_token_ids = {config.eos_token_id}
    config.apply_chat_template = False
    asked = [openvino.Tensor(numpy.array([prompt], dtype=numpy.int64)) for prompt in prompts]
    results = pipeline.generate(asked, [config] * len(asked)) if asked else []
    return [list(result.m_generation_ids[0]) for result in results]


def transformers(
    model: Any, prompts: Sequence[list[int]], max_new_tokens: int, tokenizer: Any
) -> list[list[int]]:
    """The same by torch, padded on the left; slower, and exact."""
    import torch

    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    answers: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), 4 * TOGETHER):
        places = order[start : start + 4 * TOGETHER]
        width = max(len(prompts[place]) for place in places)
        ids = torch.full((len(places), width), int(tokenizer.pad_token_id))
        seen = torch.zeros_like(ids)
        for number, place in enumerate(places):
            ids[number, width - len(prompts[place]) :] = torch.tensor(prompts[place])
            seen[number, width - len(prompts[place]) :] = 1
        with torch.inference_mode():
            told = model.generate(
                input_ids=ids,
                attention_mask=seen,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        for number, place in enumerate(places):
            answers[place] = told[number, width:].tolist()
    return answers
