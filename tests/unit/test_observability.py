"""Alerts, dashboard and runbook use metrics that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import processor
from processor import errors

DEPLOY = Path(processor.__file__).parent.parent / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "observability" / "alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((DEPLOY / "observability" / "dashboard.json").read_text())
RUNBOOK = (DEPLOY / "runbook.md").read_text()
FROM_THE_SCRAPE = {"instance", "job"}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


EXPRESSIONS = list(expressions())


def metrics_of(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:optout|process|python)_[a-z_]+", expression))


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[one for one, _ in EXPRESSIONS])
def test_an_expression_asks_for_metrics_and_labels_that_are_exposed(
    where: str, expression: str, exposed: dict[str, set[str]]
) -> None:
    names = metrics_of(expression)
    assert names
    assert names <= set(exposed)
    known = FROM_THE_SCRAPE.union(*(exposed[name] for name in names))
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
    labels = {label.strip() for group in grouped for label in group.split(",")}
    labels |= set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expression))
    assert labels <= known
    for opens, closes in ("()", "[]", "{}"):
        assert expression.count(opens) == expression.count(closes)


def test_every_metric_of_ours_is_on_the_dashboard(exposed: dict[str, set[str]]) -> None:
    shown = {name for _, expression in EXPRESSIONS for name in metrics_of(expression)}
    ours = {name for name in exposed if name.startswith("optout_")}
    parts = re.compile(r"_(bucket|count|sum)$")
    assert {parts.sub("", name) for name in ours} == {
        parts.sub("", name) for name in shown if name.startswith("optout_")
    }


def test_an_error_that_an_alert_names_exists() -> None:
    for reason in re.findall(r'reason[!=~]+"([^"]+)"', json.dumps(RULES).replace('\\"', '"')):
        for name in reason.split("|"):
            assert issubclass(getattr(errors, name), errors.RetryableError)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_how_grave_it_is_and_has_an_entry_in_the_runbook(
    rule: dict[str, Any],
) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert all(label in rule["expr"] for label in labels)
    [entry] = re.findall(rf"^### {rule['alert']}$(.*?)(?=^##|\Z)", RUNBOOK, re.M | re.S)
    for part in ("- **means**", "- **look at**", "- **do**"):
        assert part in entry


def test_the_runbook_has_no_entry_for_an_alert_that_is_gone() -> None:
    assert set(re.findall(r"^### (OptOut\w+)$", RUNBOOK, re.M)) == {rule["alert"] for rule in RULES}


REASONS = [
    "the block list is not whole; its owner rebuilds it",
    "Redis lost writes; the owner of the list rebuilds it",
    "the configuration is being read",
    "the block list is being rebuilt",
    "the block list in Redis is not as this lane left it",
    "a later owner took the partition",
    "Kafka does not answer",
    "no member",
    "taking",
]


@pytest.mark.parametrize("reason", REASONS)
def test_what_a_lane_says_it_waits_for_is_in_the_code_and_in_the_runbook(reason: str) -> None:
    sources = "".join(path.read_text() for path in Path(processor.__file__).parent.rglob("*.py"))
    assert reason in sources
    assert f"`{reason}`" in RUNBOOK
