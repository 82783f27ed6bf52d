"""The numbers that accounts own, followed live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from processor.config import Settings
from processor.configuration.edits import write_number
from processor.kafka.topics.compacted import CompactedTopic
from processor.metrics import Metrics
from schemas.number import Number


class NumbersView:
    """Every number by its sid, its address and its account."""

    def __init__(self, settings: Settings, topic: str, metrics: Metrics | None = None) -> None:
        self.topic = CompactedTopic(
            settings,
            topic,
            "numbers",
            read=Number.model_validate_json,
            sid_of=lambda number: number.sid,
            take=self._take,
            metrics=metrics,
        )
        self._numbers: dict[str, Number] = {}
        self._of_account: dict[str, dict[str, Number]] = {}
        self._sids: dict[str, str] = {}

    def value_of(self, sid: str) -> bytes | None:
        """The topic's value for a sid."""
        found = self._numbers.get(sid)
        return write_number(found) if found else None

    def get(self, sid: str) -> Number | None:
        """A number, whoever it belongs to."""
        return self._numbers.get(sid)

    def at(self, address: str) -> Number | None:
        """The number with an address, whoever it belongs to."""
        return self._numbers.get(self._sids.get(address, ""))

    def every(self) -> Iterable[Number]:
        """The numbers of every account, in no order."""
        return self._numbers.values()

    def of_account(self, account_sid: str) -> Iterable[Number]:
        """The numbers of an account, in no order."""
        return self._of_account.get(account_sid, {}).values()

    def _take(self, changed: Mapping[str, Number | None]) -> None:
        for sid, number in changed.items():
            if before := self._numbers.pop(sid, None):
                self._of_account[before.account_sid].pop(sid, None)
                if self._sids.get(before.address) == sid:  # another record may have it by now
                    del self._sids[before.address]
            if number:
                self._numbers[sid] = number
                self._of_account.setdefault(number.account_sid, {})[sid] = number
                self._sids[number.address] = sid
