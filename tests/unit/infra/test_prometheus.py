"""The alert rules are well formed and ask for metrics that exist."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from libs.runtime import metrics
from services.monitor.adapters import gauges

PROMETHEUS = Path(__file__).parents[3] / "infra" / "prometheus"
DECLARED_BY = (metrics,)
SCRAPED = frozenset({"up"})
WORDS = frozenset({"and", "or", "unless", "on", "by", "rate", "increase", "delta"})


def rules() -> list[dict[str, Any]]:
    read = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def samples() -> dict[str, set[str]]:
    """Sample name -> label names of everything that these modules declare."""
    assert all(module.__name__ in sys.modules for module in DECLARED_BY)
    found: dict[str, set[str]] = {}
    for collector in list(REGISTRY._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        found |= dict.fromkeys(REGISTRY._collector_to_names[collector], labels)
    return found | {metric.name: set(metric.labels) for metric in gauges.METRICS}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_a_rule_names_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    known = samples()
    bare = re.sub(r"on \([^)]*\)|\[[^]]*\]|\{[^}]*\}", " ", rule["expr"])

    assert set(re.findall(r"[a-z_]+", bare)) - WORDS <= set(known) | SCRAPED
    for name, labels in re.findall(r"([a-z_]+)\{([^}]*)\}", rule["expr"]):
        given = set(re.findall(r"(\w+)=", labels))
        assert name in SCRAPED or given <= known[name]


def test_each_alert_says_how_urgent_it_is_and_why() -> None:
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "ticket"}
    assert all(rule["annotations"]["summary"] for rule in rules())
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_prometheus_reads_the_rules() -> None:
    read = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())

    assert all((PROMETHEUS / name).exists() for name in read["rule_files"])
