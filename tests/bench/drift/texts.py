"""``python -m tests.bench.drift.texts``: real texts of eight domains, once.

They come from packages that `make setup` and `make bench-drift` install.

Two domains, ``telecom`` and ``writing``, are held out: no constant of any detector was chosen
with them in sight.
"""

import csv
import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from infra.demo.data import digest, python_pairs

BANK, CHAT, TRIVIA = "bank", "chat", "trivia"
FAR, NEAR, LANGUAGES = "python", "tasks", "languages"
HELD_NEAR, HELD_FAR = "telecom", "writing"
LIMITS: Final = {BANK: 5000, FAR: 2500, LANGUAGES: 2500, HELD_FAR: 600}
MAX_CHARACTERS: Final = 300
OUT: Final = Path(".perennial/bench/drift/texts.json")
PACKAGES: Final = "lib/python3.11/site-packages"
TAU: Final = "inspect_evals/tau2/data/domains"
FRESH: Final = "inspect_evals/abstention_bench/data/freshqa/FreshQA_v12182024.csv"


def pools(model_packages: Path, bench_packages: Path) -> dict[str, list[str]]:
    """Distinct texts by domain, in an order that is the same everywhere."""
    corpus = bench_packages / "chatterbot_corpus" / "data"
    others = [path for path in sorted(corpus.iterdir()) if path.is_dir() and path.name != "english"]
    found: dict[str, Iterable[str]] = {
        BANK: _bank(model_packages),
        CHAT: _conversations([corpus / "english"]),
        TRIVIA: _trivia(model_packages / FRESH),
        FAR: (pair.answer for pair in python_pairs()),
        NEAR: _tasks(model_packages, ("retail", "airline")),
        LANGUAGES: _conversations(others),
        HELD_NEAR: _telecom(model_packages),
        HELD_FAR: _writing(model_packages / "inspect_evals/writingbench/benchmark_all.jsonl"),
    }
    return {name: _tidy(name, texts) for name, texts in found.items()}


def _tidy(name: str, texts: Iterable[str]) -> list[str]:
    short = (" ".join(text.split())[:MAX_CHARACTERS] for text in texts)
    distinct = {text for text in short if len(text) >= 8}
    return sorted(distinct, key=lambda text: digest(name, text))[: LIMITS.get(name)]


def _bank(packages: Path) -> Iterator[str]:
    path = packages / TAU / "banking_knowledge" / "documents.json.gz"
    for document in json.loads(gzip.decompress(path.read_bytes())):
        yield from _sentences(document["content"])


def _sentences(text: str) -> Iterator[str]:
    """Sentences and list items of 5 to 60 words, without their marks."""
    for line in text.splitlines():
        for part in re.split(r"(?<=[.!?])\s+", line.strip().lstrip("-*#0123456789. ")):
            if 5 <= len(part.split()) <= 60:
                yield part.replace("**", "")


def _tasks(packages: Path, domains: Iterable[str]) -> Iterator[str]:
    for domain in domains:
        for task in json.loads((packages / TAU / domain / "tasks.json").read_text()):
            yield from _instructions(task)


def _instructions(task: dict[str, Any]) -> Iterator[str]:
    given = task["user_scenario"]["instructions"]
    for field in ("reason_for_call", "task_instructions"):
        yield from _sentences(given[field] or "")


def _telecom(packages: Path) -> Iterator[str]:
    folder = packages / TAU / "telecom"
    for task in json.loads(gzip.decompress((folder / "tasks.json.gz").read_bytes())):
        yield from _instructions(task)
    for name in ("tech_support_manual.txt", "tech_support_workflow.txt"):
        yield from _sentences((folder / name).read_text())


def _conversations(folders: Iterable[Path]) -> Iterator[str]:
    for folder in folders:
        for path in sorted(folder.glob("*.yml")):
            for turns in yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]:
                yield from (turn for turn in turns if isinstance(turn, str))


def _trivia(path: Path) -> Iterator[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("id,"))
    yield from (row["question"] or "" for row in csv.DictReader(lines[start:]))


def _writing(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if (query := str(json.loads(line)["query"]))[:MAX_CHARACTERS].isascii():
            yield query


def main() -> None:
    if not OUT.exists():
        OUT.parent.mkdir(parents=True, exist_ok=True)
        found = pools(Path(f".venv-model/{PACKAGES}"), Path(f".venv-bench/{PACKAGES}"))
        OUT.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
