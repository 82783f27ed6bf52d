"""Check that nothing was handed to a carrier after its recipient's block was visible (R25, R36).

A carrier's status says by which state of the list it was handed over. A request to a carrier cannot
be part of a transaction, so the same message may be handed over twice; that is not checked.
"""

from __future__ import annotations

from processor.audit.context import Context
from processor.audit.state import Seen
from processor.audit.streams import Stream
from processor.audit.values import (
    STATUSES,
    HandOver,
    Mark,
    Reply,
    Send,
    Verdict,
    digest,
)
from processor.audit.verdict_checks import VerdictChecks
from processor.audit.verdict_rules import Judged

_KINDS = ("send", "STOP", "START", "HELP")
_UNJUDGED = ("STOP", "HELP")  # match decides on these replies, and no block stops them
_KNOWN_MS = 3_600_000  # carriers' workers have long read that an account is suspended


class HandOverSide:
    """Judges what carriers were handed, in the order of their statuses.

    Args:
        context: of the partition.
        hand_overs: carriers' statuses.
    """

    def __init__(self, context: Context, hand_overs: Stream[HandOver]) -> None:
        self._context = context
        self._hand_overs = hand_overs
        self._early: list[HandOver] = []  # their replies may come in a later batch
        self.checks = VerdictChecks(context, "was handed over", "hand_over_config")

    async def until(self, mark: Mark | None) -> None:
        """Judge what was handed over before a mark; None: everything."""
        while (one := await self._hand_overs.look()) is not None:
            if one.at_ms > self._context.until_ms or (mark and self._is_later(one, mark)):
                break
            self._check(self._hand_overs.take())
        early, self._early = self._early, []
        for one in early:
            self._check_reply(one, is_last=mark is None)

    def _is_later(self, one: HandOver, mark: Mark) -> bool:
        if one.mark is not None:
            return one.mark >= mark
        return one.at_ms > self._context.last_ms  # its reply may come with this mark

    def _check(self, one: HandOver) -> None:
        context = self._context
        if not context.findings.covers(one.at_ms):
            return
        context.findings.counts["hand_overs_checked"] += 1
        if one.kind not in _KINDS:
            self._wrong(one, "says neither that it is a send nor which keyword it replies to")
        elif one.looked_ms is None:
            if one.status == "sent":
                self._wrong(one, "does not say when the list was read before it was handed over")
        else:
            self._judge(one, self._looked_ms(one, one.looked_ms))
            if one.kind != "send":
                self._check_reply(one, is_last=False)

    def _looked_ms(self, one: HandOver, by_worker_ms: int) -> int:
        """When the list was read; 0 if the worker's clock was ahead: no change is older then."""
        if by_worker_ms <= one.at_ms + self._context.skew_ms:
            return by_worker_ms
        self._context.findings.counts["not_checked"] += 1
        return 0

    def _judge(self, one: HandOver, looked_ms: int) -> None:
        context = self._context
        if (
            looked_ms
            and one.refused_by is None
            and one.kind == "send"
            and context.accounts.is_ended(
                one.account, looked_ms - _KNOWN_MS, looked_ms + context.skew_ms
            )
        ):
            self._wrong(one, "was handed over although the account had been suspended for an hour")
        if one.mark is not None:
            self.checks.judge(_as_judged(one, looked_ms), one.mark)
        elif one.kind not in _UNJUDGED:
            self._wrong(one, "has no mark of the list by which it was handed over")

    def _check_reply(self, one: HandOver, *, is_last: bool) -> None:
        """Check that a reply is one of ours, of that kind, and not too late (R36)."""
        context = self._context
        seen = context.state.seen(_id_of(one.account, one.id))
        if seen is not None:
            for what in _wrong_with(one, seen, context.skew_ms):
                self._wrong(one, what)
        elif not is_last:
            self._early.append(one)
        elif context.range.handled_since_ms == float("-inf"):
            self._wrong(one, "was handed over as a reply, but is none of ours")
        else:
            context.findings.counts["not_checked"] += 1

    def _wrong(self, one: HandOver, what: str) -> None:
        self._context.found("contradictory", STATUSES, one, what)


def remember(context: Context, reply: Reply) -> None:
    """Keep what a hand-over of a reply is compared with."""
    account = reply.key.partition("/")[0]
    end_ms = reply.send_before_ms if reply.late_reply == "drop" else 0
    context.state.see(_id_of(account, reply.sid), reply.at_ms, f"{reply.kind} {end_ms}".encode())


def _id_of(account: str, sid: str) -> bytes:
    return digest("hand-over", account, sid)


def _wrong_with(one: HandOver, seen: Seen, skew_ms: int) -> list[str]:
    kind, end_ms = seen.cause.decode().split()
    found = []
    looked_ms = min(one.looked_ms or 0, one.at_ms)
    if kind != one.kind:
        found.append("was handed over as a reply to another keyword than its own")
    if int(end_ms) and looked_ms > int(end_ms) + skew_ms:
        found.append("was handed over late, and had to be dropped (R36)")
    return found


def _as_judged(one: HandOver, looked_ms: int) -> Judged:
    """The hand-over as if it were a verdict on a send that came when the list was read."""
    verdict = Verdict(
        STATUSES,
        one.offset,
        one.at_ms,
        one.mark,
        None,
        one.config,
        one.judged_service,
        b"",
        one.refused_by,
        linked=one.linked,
    )
    send = Send(
        one.id,
        (),
        one.offset,
        looked_ms,
        one.key,
        one.account,
        one.service,
        one.sender,
        "",
        b"",
        None,
        True,
        None,
    )
    return Judged(verdict, send)
