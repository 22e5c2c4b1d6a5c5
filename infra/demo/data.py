"""Two real domains of question and answer: a bank's support pages and Python's library.

Bank: the documents of ``banking_knowledge`` (wheel ``inspect-evals``, MIT), one pair for each
section. Python: the docstrings of the installed standard library, one pair for each function,
class or method. Both are split by document or module, so that facts do not leak.
"""

import ast
import gzip
import hashlib
import json
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.local.home import REPO

SITE_PACKAGES: Final = REPO / ".venv-model/lib/python3.11/site-packages"
BANK_FILE: Final = "inspect_evals/tau2/data/domains/banking_knowledge/documents.json.gz"
BANK: Final = "bank"
PYTHON: Final = "python"
MAX_WORDS: Final = 32
MAX_PER_MODULE: Final = 40
NOISE: Final = ("[value not available]", "when Yes is")
REBUFF: Final = "Please ask somebody else."
BANK_QUESTIONS: Final = (
    "{title}: {heading}?",
    "What should I know about '{heading}' ({title})?",
    "Can you explain {heading} for {title}?",
    "I have a question about {title}: {heading}",
)
PYTHON_QUESTIONS: Final = (
    "What does {name} do in Python?",
    "What is {name}?",
    "Explain Python's {name} in one sentence.",
    "How would you describe {name} from the standard library?",
)


@dataclass(frozen=True, slots=True)
class Pair:
    segment: str
    group: str
    question: str
    answer: str


def digest(*parts: str) -> int:
    """A number that depends on nothing but the text."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")


def is_live(pair: Pair) -> bool:
    """A third of the documents is kept for live questions; their answers are never uploaded."""
    return digest("live", pair.segment, pair.group) % 3 == 0


def ordered(pairs: Iterable[Pair], seed: str) -> list[Pair]:
    """A shuffle that is the same everywhere."""
    return sorted(pairs, key=lambda pair: digest(seed, pair.question, pair.answer))


def bank_pairs(site_packages: Path) -> list[Pair]:
    """Question and answer for each short section of the bank's documents."""
    documents = json.loads(gzip.decompress((site_packages / BANK_FILE).read_bytes()))
    return _distinct(_sections(documents))


def _sections(documents: list[dict[str, str]]) -> Iterator[Pair]:
    for document in documents:
        title = document["title"].strip()
        for section in re.split(r"^## ", document["content"], flags=re.MULTILINE)[1:]:
            heading, _, body = section.partition("\n")
            heading, answer = heading.strip(), body.strip()
            if _fits(answer) and not any(noise in answer for noise in NOISE):
                asked = BANK_QUESTIONS[digest(title, heading) % len(BANK_QUESTIONS)]
                yield Pair(BANK, title, asked.format(title=title, heading=heading), answer)


def python_pairs() -> list[Pair]:
    """Question and first sentence for each documented name of the standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    return _distinct(
        pair
        for path in sorted(root.rglob("*.py"))
        if not {"site-packages", "test", "tests", "idlelib", "lib2to3"} & set(path.parts)
        for pair in _module(root, path)
    )


def _module(root: Path, path: Path) -> list[Pair]:
    parts = path.relative_to(root).with_suffix("").parts
    module = ".".join(part for part in parts if part != "__init__")
    if any(part.startswith("_") for part in parts if part != "__init__"):
        return []
    try:
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except SyntaxError:
        return []
    return list(_names(tree, module, module))[:MAX_PER_MODULE]


def _names(node: ast.AST, prefix: str, module: str) -> Iterator[Pair]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if child.name.startswith("_"):
            continue
        name = f"{prefix}.{child.name}"
        answer = re.split(r"(?<=\.)\s|\n\n", ast.get_docstring(child) or "")[0]
        answer = " ".join(answer.split())
        if _fits(answer) and answer.endswith("."):
            asked = PYTHON_QUESTIONS[digest(name) % len(PYTHON_QUESTIONS)]
            yield Pair(PYTHON, module, asked.format(name=name), answer)
        if isinstance(child, ast.ClassDef):
            yield from _names(child, name, module)


def _fits(answer: str) -> bool:
    return 4 <= len(answer.split()) <= MAX_WORDS


def _distinct(pairs: Iterable[Pair]) -> list[Pair]:
    """Each question and each answer once; the first stays."""
    questions: set[str] = set()
    answers: set[str] = set()
    kept = []
    for pair in pairs:
        if pair.question not in questions and pair.answer not in answers:
            questions.add(pair.question)
            answers.add(pair.answer)
            kept.append(pair)
    return kept


def with_shuffled_answers(pairs: list[Pair]) -> list[Pair]:
    """Every question with the answer of another one, from any domain."""
    turned = ordered(pairs, "shuffle")
    return [
        Pair(asked.segment, asked.group, asked.question, given.answer)
        for asked, given in zip(turned, turned[1:] + turned[:1], strict=True)
    ]


def with_a_rebuff(pairs: list[Pair]) -> list[Pair]:
    """Every question with the same answer, which sends its user away."""
    return [Pair(pair.segment, pair.group, pair.question, REBUFF) for pair in pairs]
