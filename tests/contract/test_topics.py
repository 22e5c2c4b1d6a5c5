"""The topic table, the examples and what each service says of itself agree."""

import importlib
import re
from pathlib import Path

import pytest
from google.protobuf import text_format
from google.protobuf.message import Message

from libs.events import codec
from libs.events.topics import ALL, UPSTREAM, Topic

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "protos" / "examples"
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/compose.py"))


def edges(service: str, word: str) -> set[str]:
    """Topic names behind ``word`` in the docstring of a service's package."""
    text = importlib.import_module(f"services.{service}").__doc__ or ""
    block = re.search(rf"^{word}\s+(.*?)(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"[a-z]+\.[a-z-]+\.v\d+", block.group(1))) if block else set()


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_each_topic_has_an_example_that_decodes(topic: Topic[Message]) -> None:
    text = (EXAMPLES / f"{topic.name}.txtpb").read_text()

    event = text_format.Parse(text, topic.event())

    assert codec.decode(topic, codec.encode(event)) == event
    assert topic.key(event), "the example has no key"


def test_there_is_no_example_without_a_topic() -> None:
    assert {path.stem for path in EXAMPLES.iterdir()} == {topic.name for topic in ALL}


def test_topic_names_are_unique_and_versioned() -> None:
    names = [topic.name for topic in ALL]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+\.[a-z-]+\.v[1-9]", name) for name in names)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_consumes_what_the_table_says(service: str) -> None:
    table = {topic.name for topic in ALL if service in topic.consumers}

    assert edges(service, "Consumes") == table


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_produces_what_the_table_says(service: str) -> None:
    table = {topic.name for topic in ALL if topic.producer == service}

    assert edges(service, "Produces") == table


def test_every_producer_and_consumer_is_a_service() -> None:
    named = {topic.producer for topic in ALL} | {name for topic in ALL for name in topic.consumers}

    assert named - {UPSTREAM} <= set(SERVICES)
