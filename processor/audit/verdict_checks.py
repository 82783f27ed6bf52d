"""Judge each verdict by the history at its mark; anything allowed that was blocked is a leak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from processor.audit.context import Context, partition_of
from processor.audit.history import Past, covers
from processor.audit.letters import letter_of, packed
from processor.audit.people import id_in
from processor.audit.services import Unknown
from processor.audit.values import NO_MARK, OUTBOUND, Mark, State, digest
from processor.audit.verdict_rules import Judged, is_right, service_of

_FORGOTTEN_MS = 3_600_000  # a batch that died is repeated long before
_KNOWN_MS = 3_600_000  # gates have long read that an account is suspended


class VerdictChecks:
    """Judges verdicts; some have to wait for later changes.

    Args:
        context: of the partition.
        did: said of a verdict that should have been a refusal.
        config: the name of the state's value that ``config`` is kept as.
    """

    def __init__(
        self, context: Context, did: str = "was allowed", config: str = "gate_config"
    ) -> None:
        self._context = context
        self._did = did
        self._config = int(context.state.get(config) or 0)
        # By digest of the entry's key: wrong at their mark, though the mark's batch may have died.
        self._unclear: dict[bytes, list[Judged]] = defaultdict(list)
        # At the edge of the range: judged at a mark whose change comes behind it.
        self._at_edge: list[tuple[Mark, Judged]] = []
        # By digest again: a change that was visible before the send may follow.
        self._early: dict[bytes, list[Judged]] = defaultdict(list)

    @property
    def config(self) -> int:
        """How far the services were read for the last verdict that says so."""
        return self._config

    @property
    def waits(self) -> bool:
        """Whether later changes may say more about verdicts."""
        return bool(self._unclear or self._early or self._at_edge)

    def compare(self, one: Judged, mark: Mark) -> None:
        """Check a verdict at a mark, and compare it with its send."""
        context, verdict, its = self._context, one.verdict, one.send
        context.arrive(its)
        if not context.findings.covers(verdict.at_ms):
            return
        context.findings.counts["verdicts_checked"] += 1
        if context.is_put_aside(OUTBOUND, its.offset):
            self._wrong(one, "is on a send that was put aside, too")
        if not context.is_here(its):
            self._wrong(one, "is on a send that is not in its recipient's partition")
        if verdict.ref is not None and verdict.ref != its.ref:
            self._wrong(one, "names another send than the send that caused it")
        if verdict.ref is None and verdict.value != its.value:
            self._wrong(one, "differs from the send in its bytes")
        if verdict.suspended:
            if not context.accounts.may_be_ended(its.account, verdict.at_ms, _around(context)):
                self._wrong(one, "failed as if the account were suspended, but it was active")
            return
        if verdict.refused_by is None and context.accounts.is_ended(
            its.account, verdict.at_ms - _KNOWN_MS, verdict.at_ms + context.skew_ms
        ):
            self._wrong(one, "was allowed although the account had been suspended for an hour")
        self.judge(one, mark)

    def judge(self, one: Judged, mark: Mark) -> None:
        """Check a verdict by the blocks at a mark, and by the changes after it."""
        context, verdict = self._context, one.verdict
        if verdict.config is not None:
            self._config = max(self._config, verdict.config)
        id_ = id_in(one.send.key)
        if id_ and (verdict.linked or self._has_link(one, mark)):
            self._compare_service(one)
            self._send_letter(one, id_)  # another partition has the blocks
        elif context.has_whole_history and mark >= context.histories.forgotten_mark:
            self._compare_service(one)
            if context.next_change is not None and context.next_change[0] <= mark:
                self._at_edge.append((mark, one))
            else:
                self._judge(one, mark)
        else:
            context.findings.counts["not_checked"] += 1

    def _has_link(self, one: Judged, mark: Mark) -> bool:
        link = self._context.state.people.link_of(digest(one.send.key))
        return link is not None and link.mark <= mark

    def _send_letter(self, one: Judged, id_: str) -> None:
        context = self._context
        letter = letter_of(
            one,
            where=self._where(one),
            did=self._did,
            key=digest(one.send.key),
            at=partition_of(id_, context.of),
            config=self._config,
        )
        context.state.people.send(packed(letter))

    def _compare_service(self, one: Judged) -> None:
        verdict = one.verdict
        if verdict.config is None:
            return  # it saw no block, so no service mattered
        try:
            service = self._service(one, strictly=True)
        except Unknown:
            self._context.findings.counts["not_checked"] += 1
            return
        if service != verdict.service:
            self._wrong(one, "was judged as a send of another service than its own")

    def _judge(self, one: Judged, mark: Mark) -> None:
        context, verdict = self._context, one.verdict
        key = digest(one.send.key)
        state, later = context.histories.at(key, mark)
        is_right = not (state or verdict.refused_by) or self._is_right(one, state)
        after = () if is_right else self._states_after(state, mark, later)
        if not is_right and not any(self._may_mean(one, past) for past in after):
            if self._may_have_died(mark):
                self._unclear[key].append(one)
            else:
                self._is_wrong(one)
        if verdict.refused_by is None:
            self._early_or_not(one, key, mark, later)

    def _states_after(
        self, state: State, mark: Mark, later: Sequence[Past]
    ) -> list[tuple[Past, State]]:
        """The applied changes after a mark whose batch may have died, each with its outcome."""
        if not later or later[0].mark.epoch == mark.epoch:
            return []
        state = dict(state)
        found: list[tuple[Past, State]] = []
        for past in later:
            state.pop(past.place, None)
            if past.after is not None:
                state[past.place] = past.after
            found.append((past, dict(state)))
        return found

    def _may_mean(self, one: Judged, after: tuple[Past, State]) -> bool:
        past, state = after
        is_known = past.since_ms <= one.verdict.at_ms + self._context.skew_ms
        return is_known and self._is_right(one, state)

    def _may_have_died(self, mark: Mark) -> bool:
        """Whether a mark is of no batch that changed the list and is known."""
        return mark > self._context.histories.last

    def _is_wrong(self, one: Judged) -> None:
        if one.verdict.refused_by is None:
            what = f"{self._did} at a mark at which a block was in force"
            self._context.findings.add("leak", self._where(one), what)
        else:
            self._wrong(one, "names a block that was not in force at its mark")

    def _early_or_not(self, one: Judged, key: bytes, mark: Mark, later: Sequence[Past]) -> None:
        """Check that a send after a visible confirmation is judged at or past its mark (R25)."""
        context, its = self._context, one.send
        if its.after is not None:
            if mark < its.after:
                what = "was judged without a confirmation that its writer had seen"
                context.findings.add("leak", self._where(one), what)
            return
        if any(self._is_older(past, one) for past in later):
            return
        following = context.next_change
        if following is not None and following[1] + context.skew_ms < its.at_ms:
            self._early[key].append(one)

    def _is_older(self, past: Past, one: Judged) -> bool:
        """Report a block that was visible before the send, and that its verdict ignored."""
        its = one.send
        is_new = past.after is not None and past.before is None
        if not is_new or past.at_ms + self._context.skew_ms >= its.at_ms:
            return False
        if not covers(past.place, self._service(one), its.sender):
            return False
        what = f"was judged without {past.change_id}, which is older"
        self._context.findings.add("leak", self._where(one), what)
        return True

    def changed(self, past: Past, state: State) -> None:
        """Look again at verdicts on a recipient whose blocks changed."""
        if past.key in self._early:
            early = self._early[past.key]
            early[:] = [one for one in early if not self._is_older(past, one)]
        if past.key in self._unclear:
            left = []
            for one in self._unclear.pop(past.key):
                if past.since_ms > one.verdict.at_ms + self._context.skew_ms:
                    self._is_wrong(one)
                elif not self._is_right(one, state):
                    left.append(one)
            if left:
                self._unclear[past.key] = left

    def passed(self, at_ms: int, mark: Mark) -> None:
        """Forget what no change can alter any more that is written from a time on.

        Args:
            at_ms: time of the next change.
            mark: of the next change.
        """
        for judged, one in [pair for pair in self._at_edge if pair[0] < mark]:
            self._at_edge.remove((judged, one))
            self._judge(one, judged)
        if self._early:
            for key in [
                key
                for key, ones in self._early.items()
                if all(one.send.at_ms <= at_ms + self._context.skew_ms for one in ones)
            ]:
                del self._early[key]
        for key in list(self._unclear):
            left = []
            for one in self._unclear.pop(key):
                own = one.verdict.mark or NO_MARK
                lived = mark.epoch == own.epoch and mark > own
                if lived or one.verdict.at_ms < at_ms - _FORGOTTEN_MS:
                    self._is_wrong(one)
                else:
                    left.append(one)
            if left:
                self._unclear[key] = left

    def end(self) -> None:
        """Report what no change has justified."""
        for mark, edged in self._at_edge:
            self._judge(edged, mark)
        self._at_edge.clear()
        for ones in self._unclear.values():
            for one in ones:
                self._is_wrong(one)
        self._unclear.clear()
        self._early.clear()

    def _is_right(self, one: Judged, state: State) -> bool:
        try:
            return is_right(self._context.services, one, state, self._config)
        except Unknown:
            self._context.findings.counts["not_checked"] += 1
            return True

    def _service(self, one: Judged, *, strictly: bool = False) -> str | None:
        return service_of(self._context.services, one, self._config, strictly=strictly)

    def _where(self, one: Judged) -> str:
        return self._context.where(one.verdict.topic, one)

    def _wrong(self, one: Judged, what: str) -> None:
        self._context.found("contradictory", one.verdict.topic, one, what)


def _around(context: Context) -> int:
    return context.skew_ms + 60_000  # gates follow the accounts, one later than the other
