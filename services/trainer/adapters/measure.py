"""The measuring job: an engine beside the weights that it was made of.

Runs in the model environment: ``python -m services.trainer.adapters.measure WORKDIR``.
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
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from services.trainer.adapters.chat import ChatTokens
from services.trainer.adapters.export import write_json
from services.trainer.adapters.pairs import BadDataset, read_named_rows
from services.trainer.adapters.speak import Answer, Engine
from services.trainer.adapters.weights import check_safetensors

STREAMS = (1, 4, 8)
SOLO = 2
"""Probes that the speed of one stream is taken from."""
BATCH_TOKENS = 2048
"""Padded tokens that one batch of the weights holds."""
LOGIT_ROWS = 512

Tell = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Job:
    """``job.json``. ``rows`` and ``tokens`` bound what is scored, ``row_tokens`` one row."""

    gguf: str
    base_model: str
    weights: str
    held_out: str
    prompt_template: str
    threads: int
    rows: int = 24
    tokens: int = 6000
    row_tokens: int = 1024
    probes: int = 8
    new_tokens: int = 32


@dataclass(frozen=True, slots=True)
class Pair:
    record_id: str
    prompt: list[int]
    answer: list[int]

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.answer


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


def scored(
    model: PreTrainedModel, pairs: Sequence[Pair], pad: int
) -> list[tuple[list[float], int]]:
    """Log-probabilities of each answer's tokens, and how many of them are the likeliest."""
    found: list[tuple[list[float], int]] = [([], 0)] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda place: len(pairs[place].ids), reverse=True)
    while order:
        width = len(pairs[order[0]].ids)
        batch, order = (
            order[: max(1, BATCH_TOKENS // width)],
            order[max(1, BATCH_TOKENS // width) :],
        )
        for place, each in zip(batch, _batch(model, [pairs[i] for i in batch], pad), strict=True):
            found[place] = each
    return found


@torch.inference_mode()
def _batch(
    model: PreTrainedModel, pairs: Sequence[Pair], pad: int
) -> list[tuple[list[float], int]]:
    width = max(len(pair.ids) for pair in pairs)
    ids = torch.full((len(pairs), width), pad)
    seen = torch.zeros_like(ids)
    counts = torch.zeros_like(ids, dtype=torch.bool)
    for place, pair in enumerate(pairs):
        ids[place, : len(pair.ids)] = torch.tensor(pair.ids)
        seen[place, : len(pair.ids)] = 1
        counts[place, len(pair.prompt) : len(pair.ids)] = True
    hidden = model.model(input_ids=ids, attention_mask=seen, use_cache=False).last_hidden_state
    asked, wanted = hidden[:, :-1][counts[:, 1:]], ids[:, 1:][counts[:, 1:]]
    chosen, likeliest = [], []
    for at in range(0, len(wanted), LOGIT_ROWS):
        logits = torch.log_softmax(model.lm_head(asked[at : at + LOGIT_ROWS]).float(), dim=-1)
        part = wanted[at : at + LOGIT_ROWS]
        chosen.append(logits.gather(1, part[:, None])[:, 0])
        likeliest.append(logits.argmax(dim=-1) == part)
    lengths = [len(pair.answer) for pair in pairs]
    return [
        (values.tolist(), int(hits.sum()))
        for values, hits in zip(
            torch.cat(chosen).split(lengths), torch.cat(likeliest).split(lengths), strict=True
        )
    ]


def load(base_model: Path, weights: Path) -> PreTrainedModel:
    """The base model's architecture with these weights, float32."""
    check_safetensors(weights)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").symlink_to(base_model / "config.json")
        (Path(folder) / "model.safetensors").symlink_to(weights)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
    return model.eval()


def measure(job: Job, tell: Tell) -> dict[str, Any]:
    """All figures of `services.trainer.domain.gate.Measured`."""
    tokenizer = AutoTokenizer.from_pretrained(job.base_model, local_files_only=True)
    pairs, left_out = choose(job, ChatTokens(tokenizer, job.prompt_template))
    engine = Engine(Path(job.gguf))
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
    del engine
    gc.collect()
    tell(0.6)
    model = load(Path(job.base_model), Path(job.weights))
    pad = int(tokenizer.pad_token_id)
    wanted = scored(model, pairs, pad)
    said = [
        Pair(pair.record_id, pair.prompt, answer.ids or [int(tokenizer.eos_token_id)])
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
                "agreed": agreed if answer.ids else 0,
                "first_token_s": first,
                "silent": not answer.ids and agreed == 1,
                "answer": tokenizer.decode(answer.ids, skip_special_tokens=True),
            }
            for pair, answer, first, (_, agreed) in zip(said, spoken, firsts, heard, strict=True)
        ],
        "speeds": [
            {"streams": streams, "tokens_per_s": speed} for streams, (_, speed) in runs.items()
        ],
        "left_out": left_out,
    }


def _timed(
    engine: Engine, prompts: Sequence[list[int]], streams: int, new_tokens: int
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
