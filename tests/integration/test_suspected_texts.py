"""The texts to review in a real Redis: by due time, decided once, and gone after 30 days."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from processor.config import Settings
from processor.core.due import due_ms
from processor.core.identity import text_id_of
from processor.core.messages import Arrival
from processor.core.reviews import State
from processor.stores.redis_client import RedisClient, redis_client
from processor.stores.suspected_texts import KEPT_MS, Counts, SuspectedTexts
from processor.wire.events import write_suspected
from processor.wire.record_index import Extent
from processor.wire.suspected import ReviewEntry, TextEntry, review_entry, text_entry, write_review
from tests.builders import (
    ACCOUNT,
    ENTRY,
    NOW_MS,
    OTHER_ACCOUNT,
    a_finding,
    a_report,
    a_review,
    an_inbound,
)

NEVER, BEGUN = Extent("", 0), Extent("T1", 0)
DAY_MS = 86_400_000


class Clock:
    """A clock that a test sets."""

    now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


def a_text(
    sid: str = "SM1", *, at_ms: int = NOW_MS, blocks: bool = False, **more: str
) -> TextEntry:
    report = a_report(
        message=an_inbound("please stop", message_sid=sid, arrival=Arrival(at_ms), **more)
    )
    return text_entry(write_suspected(replace(report, finding=a_finding()) if blocks else report))


def a_decision(text: TextEntry, state: State, number: int = 1) -> ReviewEntry:
    return review_entry(
        write_review(
            a_review(
                text_id=text.text_id,
                account_sid=text.account_sid,
                state=state.value,
                number=number,
                label=None,
            )
        )
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def texts(settings: Settings, clock: Clock) -> AsyncIterator[SuspectedTexts]:
    client: RedisClient = redis_client(settings)
    yield SuspectedTexts(client, prefix=settings.topic_prefix, clock_ms=clock)
    await client.close()


async def added(texts: SuspectedTexts, *entries: TextEntry) -> Extent:
    seen = await texts.extent("0")
    if seen == NEVER:
        seen = await texts.begin("0", NEVER, BEGUN)
    return await texts.add_texts("0", seen, seen.next + len(entries), entries)


async def decided(texts: SuspectedTexts, *entries: ReviewEntry) -> Extent:
    seen = await texts.extent("reviews")
    if seen == NEVER:
        seen = await texts.begin("reviews", NEVER, BEGUN)
    return await texts.add_reviews(seen, seen.next + len(entries), entries)


async def sids(
    texts: SuspectedTexts, account_sid: str | None = ACCOUNT, *, is_open: bool = True
) -> list[str]:
    page = await texts.page(account_sid, is_open=is_open, start=0, size=10)
    return [one.text.message_sid for one in page.texts]


async def test_open_texts_come_by_their_due_time_and_by_account(texts: SuspectedTexts) -> None:
    later, sooner = a_text("SM1", at_ms=NOW_MS - DAY_MS), a_text("SM2", at_ms=NOW_MS - 5 * DAY_MS)
    other = a_text("SM3", account_sid=OTHER_ACCOUNT)
    assert await added(texts, later, sooner, other) == Extent("T1", 3)
    assert await sids(texts) == ["SM2", "SM1"]
    assert await sids(texts, OTHER_ACCOUNT) == ["SM3"]
    assert await sids(texts, None) == ["SM2", "SM1", "SM3"]
    first = await texts.page(None, is_open=True, start=0, size=2)
    assert ([one.text.message_sid for one in first.texts], first.next) == (["SM2", "SM1"], 2)
    last = await texts.page(None, is_open=True, start=2, size=2)
    assert ([one.text.message_sid for one in last.texts], last.next) == (["SM3"], None)


async def test_a_text_is_added_once_whichever_process_adds_it(texts: SuspectedTexts) -> None:
    begun = await texts.begin("0", NEVER, BEGUN)
    now = await texts.add_texts("0", begun, 1, [a_text()])
    assert await texts.add_texts("0", begun, 1, [a_text("SM2")]) == now == Extent("T1", 1)
    assert await sids(texts) == ["SM1"]


async def test_a_text_that_blocked_at_once_is_not_open(texts: SuspectedTexts) -> None:
    await added(texts, a_text(blocks=True))
    assert await sids(texts) == []
    assert await sids(texts, is_open=False) == ["SM1"]
    [found] = await texts.get([a_text().text_id])
    assert found.state is State.BLOCKED


async def test_a_decision_takes_a_text_off_the_open_ones_and_may_bring_it_back(
    texts: SuspectedTexts,
) -> None:
    text = a_text()
    await added(texts, text)
    await decided(texts, a_decision(text, State.DISMISSED))
    assert (await sids(texts), await sids(texts, is_open=False)) == ([], ["SM1"])
    await decided(texts, a_decision(text, State.OPEN, 2))
    assert (await sids(texts), await sids(texts, is_open=False)) == (["SM1"], [])
    [found] = await texts.get([text.text_id])
    assert (found.state, found.review and found.review.number) == (State.OPEN, 2)


async def test_a_decision_that_is_read_before_its_text_counts(texts: SuspectedTexts) -> None:
    text = a_text()
    await decided(texts, a_decision(text, State.DISMISSED))
    await added(texts, text)
    assert (await sids(texts), await sids(texts, is_open=False)) == ([], ["SM1"])


async def test_a_decision_is_shown_at_once_and_the_topics_order_is_final(
    texts: SuspectedTexts,
) -> None:
    text = a_text()
    await added(texts, text)
    await texts.show(a_decision(text, State.CONFIRMED).value)
    await texts.show(a_decision(text, State.DISMISSED).value)  # the same number: too late
    [found] = await texts.get([text.text_id])
    assert found.state is State.CONFIRMED
    await decided(texts, a_decision(text, State.CONFIRMED), a_decision(text, State.DISMISSED))
    [found] = await texts.get([text.text_id])
    assert found.state is State.DISMISSED


async def test_a_text_is_gone_30_days_after_it_came(texts: SuspectedTexts, clock: Clock) -> None:
    await added(texts, a_text(at_ms=NOW_MS - KEPT_MS), a_text("SM2"))
    assert await sids(texts) == ["SM2"]
    clock.now_ms = NOW_MS + KEPT_MS + 6 * DAY_MS  # Redis itself goes by a real clock
    await added(texts, a_text("SM3", at_ms=clock.now_ms))
    assert await sids(texts) == ["SM3"]
    assert await texts.counts(ACCOUNT, soon_ms=0) == Counts(1, 0, 0)


async def test_texts_are_counted_by_how_near_their_due_time_is(
    texts: SuspectedTexts, clock: Clock
) -> None:
    await added(texts, a_text(), a_text("SM2", at_ms=NOW_MS + 5 * DAY_MS))
    clock.now_ms = due_ms(NOW_MS)
    assert await texts.counts(None, soon_ms=DAY_MS) == Counts(2, 1, 1)
    assert await texts.counts(ACCOUNT, soon_ms=10 * DAY_MS) == Counts(2, 2, 1)
    assert await texts.counts(OTHER_ACCOUNT, soon_ms=DAY_MS) == Counts(0, 0, 0)


async def test_the_texts_of_a_recipient_are_found(texts: SuspectedTexts) -> None:
    await added(
        texts, a_text(), a_text("SM2", blocks=True), a_text("SM3", recipient="+15557654399")
    )
    found = await texts.of_recipient(ENTRY)
    assert {one.text.message_sid for one in found} == {"SM1", "SM2"}


async def test_one_decides_on_a_text_at_a_time(texts: SuspectedTexts) -> None:
    text_id = text_id_of(an_inbound())
    assert await texts.claim(text_id)
    assert not await texts.claim(text_id)
    await texts.release(text_id)
    assert await texts.claim(text_id)
