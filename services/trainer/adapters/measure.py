"""The measuring job: an engine beside the weights that it was made of.

Runs in the model environment: ``python -m services.trainer.adapters.measure WORKDIR``; for an
engine of TensorRT-LLM in its image.
Reads ``job.json``; prints ``{"event": "measured", "done": share}`` lines; writes
``measured.json``, or ``error.json`` where no attempt can succeed.

The engine scores the held-out answers token by token (echoed prompts), and answers the probes
greedily; then the weights, in float32 by transformers, score the very same tokens. In torch the
reference costs one padded forward pass; a second OpenVINO engine in F16 with f32 mathematics was
measured to agree with it within 0.001 nat per token, and takes longer to load than that.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from services.trainer.adapters.chat import ChatTokens
from services.trainer.adapters.files import write_json
from services.trainer.adapters.pairs import BadDataset, read_named_rows
from services.trainer.adapters.reference import Pair, load, scored
from services.trainer.adapters.speech import Answer, Sampling, Speaker

STREAMS = (1, 4, 8)
SOLO = 2
"""Probes that the speed of one stream is taken from."""
REPEATS = (8, 4)
"""Answers at once in each repeat of the probes: an engine's mathematics differ with its batch."""

Tell = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Job:
    """``job.json``. ``rows`` and ``tokens`` bound what is scored, ``row_tokens`` one row.

    ``model``: directory of a TensorRT-LLM engine, in the place of ``gguf``.
    """

    base_model: str
    weights: str
    held_out: str
    prompt_template: str
    threads: int
    gguf: str = ""
    model: str = ""
    rows: int = 16
    tokens: int = 6000
    row_tokens: int = 1024
    probes: int = 8
    new_tokens: int = 32
    decoding: dict[str, Any] = field(default_factory=dict)


def loaded(job: Job) -> Speaker:
    """Neither runtime's libraries are in the other's environment."""
    if job.model:
        from services.trainer.adapters.tensorrt.speak import Engine as GpuEngine

        return GpuEngine(Path(job.model))
    from services.trainer.adapters.speak import Engine

    return Engine(Path(job.gguf))


def choose(job: Job, tokens: ChatTokens) -> tuple[list[Pair], int]:
    """The same rows every time, whatever their order in the file; how many were too long."""
    rows = read_named_rows(Path(job.held_out))
    chosen: list[Pair] = []
    left_out = spent = 0
    for name, question, answer in sorted(rows, key=_place):
        pair = Pair(name, tokens.prompt(question), tokens.answer(answer))
        if len(pair.ids) > job.row_tokens:
            left_out += 1
            continue
        spent += len(pair.ids)
        if len(chosen) == job.rows or (chosen and spent > job.tokens):
            break
        chosen.append(pair)
    return chosen, left_out


def _place(row: tuple[str, str, str]) -> bytes:
    return hashlib.sha256(row[0].encode()).digest()


def measure(job: Job, tell: Tell) -> dict[str, Any]:
    """All figures of `services.trainer.domain.gate.Measured`."""
    tokenizer = AutoTokenizer.from_pretrained(job.base_model, local_files_only=True)
    pairs, left_out = choose(job, ChatTokens(tokenizer, job.prompt_template))
    engine = loaded(job)
    tell(0.2)
    given = engine.score([pair.ids for pair in pairs])
    tell(0.4)
    prompts = [pair.prompt for pair in pairs[: job.probes]]
    firsts = [engine.answer([prompt], 1)[0].first_s for prompt in prompts]
    runs = {
        streams: _timed(engine, prompts, streams, job.new_tokens)
        for streams in STREAMS
        if streams <= max(1, len(prompts))
    }
    spoken, _ = runs[max(runs)]
    identical = _repeated(engine, prompts, spoken, job)
    engine.close()
    gc.collect()
    tell(0.6)
    model = load(Path(job.base_model), Path(job.weights))
    pad, end = int(tokenizer.pad_token_id), int(tokenizer.eos_token_id)
    wanted = scored(model, pairs, pad)
    said = [
        Pair(pair.record_id, pair.prompt, answer.ids)
        for pair, answer in zip(pairs, spoken, strict=False)
    ]
    heard = scored(model, said, pad)
    tell(1.0)
    return {
        "rows": [
            _row(pair, scores[-len(pair.answer) :], theirs)
            for pair, scores, (theirs, _) in zip(pairs, given, wanted, strict=True)
        ],
        "probes": [
            {
                "record_id": pair.record_id,
                "tokens": len(answer.ids),
                "agreed": agreed,
                "first_token_s": first,
                # The end of the answer is a token too, and the weights may begin with it.
                "empty": answer.ids == [end] and not agreed,
                "answer": tokenizer.decode(answer.ids, skip_special_tokens=True),
                "repeats": len(REPEATS),
                "identical": same,
            }
            for pair, answer, first, same, (_, agreed) in zip(
                said, spoken, firsts, identical, heard, strict=True
            )
        ],
        "speeds": [
            {"streams": streams, "tokens_per_s": speed} for streams, (_, speed) in runs.items()
        ],
        "left_out": left_out,
    }


def _timed(
    engine: Speaker, prompts: Sequence[list[int]], streams: int, new_tokens: int
) -> tuple[list[Answer], float]:
    """Answers of the first probes, ``streams`` at a time, and new tokens per second."""
    rounds = [prompts[:1], prompts[1:2]][:SOLO] if streams == 1 else [prompts[:streams]]
    answers: list[Answer] = []
    seconds = 0.0
    for together in rounds:
        told = engine.answer(together, new_tokens) if together else []
        answers += told
        seconds += max((answer.last_s for answer in told), default=0.0)
    tokens = sum(len(answer.ids) for answer in answers)
    return answers, tokens / seconds if seconds else 0.0


def _repeated(
    engine: Speaker, prompts: Sequence[list[int]], spoken: Sequence[Answer], job: Job
) -> list[int]:
    """Of each prompt's repeated answers, those that are its first one to the last token; as its
    release will ask, each time in other company. ``spoken`` were answered greedily."""
    sampling = Sampling(**job.decoding)
    first = spoken if sampling == Sampling() else engine.answer(prompts, job.new_tokens, sampling)
    identical = [0] * len(prompts)
    for together in REPEATS:
        order = list(reversed(range(len(prompts))))
        for start in range(0, len(order), together):
            places = order[start : start + together]
            again = engine.answer([prompts[each] for each in places], job.new_tokens, sampling)
            for place, answer in zip(places, again, strict=True):
                identical[place] += answer.ids == first[place].ids
    return identical


def _row(pair: Pair, mine: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    tokens = len(theirs)
    return {
        "record_id": pair.record_id,
        "tokens": tokens,
        "engine_loss": -sum(mine) / tokens,
        "weights_loss": -sum(theirs) / tokens,
        "difference": sum(abs(a - b) for a, b in zip(mine, theirs, strict=True)) / tokens,
    }


def main(work: Path) -> int:
    """Exit status 0 with ``measured.json``, or 1 (with ``error.json`` where all is in vain)."""
    out, sys.stdout = sys.stdout, sys.stderr
    job = Job(**json.loads((work / "job.json").read_text()))
    torch.set_num_threads(job.threads)

    def tell(done: float) -> None:
        print(json.dumps({"event": "measured", "done": done}), file=out, flush=True)

    try:
        measured = measure(job, tell)
    except BadDataset as error:
        write_json(work / "error.json", {"code": "bad_dataset", "reason": str(error)})
        return 1
    write_json(work / "measured.json", measured)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
