"""R25, R32: verdicts by a link, judged by the states of two partitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from processor.audit.history import Histories
from processor.audit.letter_round import judge_letters
from processor.audit.letters import Letter, packed, unpacked
from processor.audit.linked_verdicts import LinkedVerdicts
from processor.audit.people_state import Link
from processor.audit.report import Findings
from processor.audit.services import Services
from processor.audit.state import PartitionState
from processor.audit.values import (
    ALLOWED,
    Change,
    Mark,
    Named,
    Place,
    Send,
    Source,
    Standing,
    Verdict,
    digest,
)
from processor.audit.verdict_rules import Judged
from tests.builders import ACCOUNT, NOW_MS, SERVICE

OF_ID, OF_NUMBER = 0, 1  # partitions
ID, NUMBER = f"{ACCOUNT}/whatsapp:US.1", f"{ACCOUNT}/whatsapp:+15557654321"
EVERYWHERE = Place("account", "", False)
OWN, LINKED, MERGED, STOP, START, AGAIN = (Mark(7, counter) for counter in range(1, 7))
SENT_MS = NOW_MS + 60_000


def a_change(key: str, mark: Mark, change_id: str | None, at_ms: int = NOW_MS) -> Change:
    """A block of the account, or its end."""
    sources = frozenset({Source("keyword", change_id, at_ms)}) if change_id else frozenset()
    standing = Standing(sources, None, frozenset(), False) if sources else None
    caused = (change_id or "lifted", ("M",), 0, at_ms, key, mark, 0, 0)
    return Change(*caused, EVERYWHERE, standing, False, at_ms, "M", "STOP", "keyword")


@pytest.fixture
def states() -> Iterator[dict[int, PartitionState]]:
    """Of an id that is linked, and of its number, which was blocked for a while."""
    found = {number: PartitionState(None, {}) for number in (OF_ID, OF_NUMBER)}
    found[OF_ID].people.link(digest(ID), Link(OF_NUMBER, digest(NUMBER), LINKED))
    found[OF_NUMBER].people.merge(digest(NUMBER), digest(ID), MERGED)
    applied(found[OF_NUMBER], a_change(NUMBER, STOP, "M1.a.x"), a_change(NUMBER, START, None))
    found[OF_ID].put({"last_mark": str(Mark(7, 9))})
    yield found
    for state in found.values():
        state.close()


def applied(state: PartitionState, *changes: Change) -> None:
    histories = Histories(state)
    for one in changes:
        histories.apply(one)
    state.save(histories.saved(Mark(0, 0)), 0)


def a_letter(
    mark: Mark | None, *, refused_by: str | None = None, after: Mark | None = None
) -> Letter:
    """A verdict by the number's list at a mark; None: by the id's alone."""
    named = Named("account", refused_by, STOP) if refused_by else None
    linked = () if mark is None else ((OF_NUMBER, mark),)
    verdict = Verdict(
        *(ALLOWED, 0, SENT_MS, Mark(7, 8), None, None, SERVICE, b""), named, linked=linked
    )
    key = "/whatsapp:"
    send = Send("", (), 0, SENT_MS, key, ACCOUNT, SERVICE, "+1", "", b"", after, True, None)
    one = Judged(verdict, send)
    return Letter("S1", "was allowed", digest(ID), OF_ID, Mark(7, 8), 0, one)


async def judged(
    states: dict[int, PartitionState], letter: Letter, ahead: Sequence[Change] = ()
) -> Findings:
    """The findings about a letter that is sent and judged."""
    findings = Findings()
    states[OF_ID].people.send(packed(letter))
    states[OF_ID].write(0)

    async def look_ahead(partition: int) -> None:
        if partition == OF_NUMBER:
            applied(states[OF_NUMBER], *ahead)

    await judge_letters(LinkedVerdicts(states, Services(), findings, 0), states, look_ahead)
    assert states[OF_ID].people.count_letters() == 0
    return findings


def said(findings: Findings) -> list[str]:
    return [one.what for one in findings.violations]


def test_a_letter_is_the_same_once_it_was_read_again() -> None:
    for one in (a_letter(STOP, refused_by="M1.a.x", after=START), a_letter(None)):
        assert unpacked(packed(one)) == one


@pytest.mark.parametrize("mark", [MERGED, START])
async def test_r32_a_send_that_was_allowed_without_a_block_is_right(
    states: dict[int, PartitionState], mark: Mark
) -> None:
    # Before the STOP, a send is only right that was written before it.
    letter = a_letter(mark)
    found = await judged(states, letter)
    older = [] if mark == START else ["was judged without M1.a.x, which is older"]
    assert said(found) == older
    assert found.counts["judged_by_a_link"] == 1


async def test_r25_a_send_that_was_allowed_at_a_block_is_a_leak(
    states: dict[int, PartitionState],
) -> None:
    found = await judged(states, a_letter(STOP))
    assert said(found) == ["was allowed at a mark at which a block was in force"]
    assert [one.kind for one in found.violations] == ["leak"]


async def test_r32_a_refusal_names_a_block_of_the_number(states: dict[int, PartitionState]) -> None:
    assert said(await judged(states, a_letter(STOP, refused_by="M1.a.x"))) == []
    [what] = said(await judged(states, a_letter(START, refused_by="M1.a.x")))
    assert what == "names a block that was not in force at its mark"


async def test_r25_a_block_at_the_last_mark_is_a_leak_if_no_later_change_explains_it(
    states: dict[int, PartitionState],
) -> None:
    applied(states[OF_NUMBER], a_change(NUMBER, AGAIN, "M2.a.x", SENT_MS))
    died = Mark(7, 7)  # of a batch that may be repeated later
    [what] = said(await judged(states, a_letter(died)))
    assert what == "was allowed at a mark at which a block was in force"
    lifted = a_change(NUMBER, Mark(8, 1), None, SENT_MS)
    assert said(await judged(states, a_letter(died), [lifted])) == []


async def test_r32_an_own_block_counts_until_it_is_merged(
    states: dict[int, PartitionState],
) -> None:
    applied(states[OF_ID], a_change(ID, OWN, "M0.a.x"))
    states[OF_ID].put({"last_mark": str(Mark(7, 9))})
    assert said(await judged(states, a_letter(START))) == []
    assert said(await judged(states, a_letter(OWN, refused_by="M0.a.x"))) == []


async def test_r25_a_confirmation_that_the_writer_had_seen_is_in_neither_list(
    states: dict[int, PartitionState],
) -> None:
    [what] = said(await judged(states, a_letter(START, after=Mark(9, 1))))
    assert what == "was judged without a confirmation that its writer had seen"
    assert said(await judged(states, a_letter(START, after=START))) == []


@pytest.mark.parametrize("why", ["partition", "history", "forgotten"])
async def test_a_letter_whose_history_is_not_known_is_not_checked(
    states: dict[int, PartitionState], why: str
) -> None:
    if why == "partition":
        states.pop(OF_NUMBER).close()
    elif why == "history":
        states[OF_NUMBER].put({"has_whole_history": "False"})
    else:
        states[OF_NUMBER].put({"pasts_forgotten": str(START)})
    found = await judged(states, a_letter(STOP))
    assert (found.violations, found.counts["not_checked"]) == ([], 1)


async def test_r32_without_the_list_of_the_number_a_verdict_is_wrong(
    states: dict[int, PartitionState],
) -> None:
    [what] = said(await judged(states, a_letter(None)))
    assert what == "was judged without the list of its person's number"
