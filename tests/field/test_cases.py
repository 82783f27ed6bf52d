"""R3, R7, R13, R14, R16, R19, R20: texts from the field, and their outcomes.

`cases.jsonl` has a message a line; those of one `case` are a conversation. `source` names the
report that it comes from: a thread, a carrier's page, a law. In `expect`, `"*"` is anything but
null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from click.testing import CliRunner

from processor.cli import main
from processor.configuration.languages import languages
from processor.configuration.starters import starter_of

Results: TypeAlias = Mapping[str, list[dict[str, Any]]]

HERE = Path(__file__).parent
EXAMPLE = HERE.parent.parent / "schemas" / "examples" / "services.yaml"
WORLD = "World"  # the service with all starter packs

# The rules decide these otherwise than their report would have it.
RULED_OTHERWISE = {
    **dict.fromkeys(("A16", "A17", "A18"), "R3's words are the guide's; a service adds others"),
    "B26": "a stop sign is a keyword only where it is configured (R13)",
    "F01": "YES is an opt-in word of default handling (R3)",
    "F03": "YES lifts what keywords blocked (R19)",
    "F11": "a blocked recipient gets help where the service says so (R19)",
    "F21": "two sids are two messages (R22)",
    **dict.fromkeys(("G04", "G24"), "two words are a keyword only where they are configured"),
    **dict.fromkeys(("G08", "G09"), "WhatsApp and short codes have no default handling (R3)"),
    "J04": "START lifts every block that would stop the sender it was texted to (R21)",
    "J05": "under the scope of a sender, another sender is not stopped (R21)",
    "J07": "a keyword has no topic (R14)",
}
# A rule that is not built yet decides these; strict, so a case that passes is taken off the list.
PENDING: dict[str, str] = {}
# The packs hold these words, and R11 warns of them: they stay opt-outs.
STAY_OPT_OUTS = ("E17", "E18", "E19")


@cache
def cases() -> Mapping[str, list[dict[str, Any]]]:
    """The messages of each case."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (HERE / "cases.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        found.setdefault(record["case"], []).append(record)
    return found


def of_a_run(run: str) -> list[dict[str, Any]]:
    """The messages that are decided together: with one scope, on one file of services."""
    return [one for each in cases().values() for one in each if one["run"] == run]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of the services, with the starter packs added to `World`."""
    documents = yaml.safe_load((HERE / "services.yaml").read_text("utf-8"))
    [opt_out] = [one["opt_out"] for one in documents if one["friendly_name"] == WORLD]
    packs = starter_of(list(languages()))
    opt_out["languages"] = packs["languages"]
    opt_out["countries"] = {**packs["countries"], **opt_out["countries"]}
    path = tmp_path_factory.mktemp("field") / "services.yaml"
    path.write_text(yaml.safe_dump(documents, allow_unicode=True), "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def results(services: str) -> Callable[[str], Results]:
    """The outcomes of a run by `optout decide`, by case."""

    @cache
    def decided(run: str) -> Results:
        records = of_a_run(run)
        given = CliRunner().invoke(
            main,
            ["decide", "--services", str(EXAMPLE) if run == "example" else services, "-"],
            input="\n".join(map(json.dumps, records)),
            env={"OPTOUT_BLOCK_SCOPE": run.removeprefix("scope=") if "=" in run else "account"},
        )
        assert given.exit_code == 0, given.output
        found: dict[str, list[dict[str, Any]]] = {}
        for record, line in zip(records, given.stdout.splitlines(), strict=True):
            found.setdefault(record["case"], []).append(json.loads(line))
        return found

    return decided


def covered() -> Iterator[object]:
    for case, messages in cases().items():
        if case not in RULED_OTHERWISE and case not in STAY_OPT_OUTS:
            pending = PENDING.get(case)
            marks = [pytest.mark.xfail(reason=pending)] if pending else []
            yield pytest.param(case, id=f"{case}-{messages[0]['source']}", marks=marks)


@pytest.mark.parametrize("case", list(covered()))
def test_what_people_texted_has_the_outcome_that_it_should(
    case: str, results: Callable[[str], Results]
) -> None:
    messages = cases()[case]
    came = results(messages[0]["run"])[case]
    for message, outcome in zip(messages, came, strict=True):
        assert {name: outcome.get(name) for name in message["expect"]} == {
            name: ANYTHING if wanted == "*" else wanted
            for name, wanted in message["expect"].items()
        }, message["body"]


@pytest.mark.parametrize("case", STAY_OPT_OUTS)
def test_r11_a_word_of_a_pack_is_an_opt_out_though_it_answers_questions(
    case: str, results: Callable[[str], Results]
) -> None:
    [outcome] = results("default")[case]
    assert (outcome["kind"], outcome["blocked_after"]) == ("STOP", True)


def test_every_case_that_is_named_is_there() -> None:
    assert {*RULED_OTHERWISE, *PENDING, *STAY_OPT_OUTS} <= cases().keys()
    assert not RULED_OTHERWISE.keys() & PENDING.keys()


class _Anything:
    """Equal to whatever is not null."""

    def __eq__(self, other: object) -> bool:
        return other is not None

    __hash__ = None  # type: ignore[assignment]


ANYTHING = _Anything()
