"""How many records may make the code raise before the code is to blame."""

from __future__ import annotations

from processor.errors import TooManyFaults

_LOOKED_BACK = 1_000  # records
_MOST = 10  # of them


class Faults:
    """The share of a lane's recent records that made its code raise.

    Records that are refused with a reason do not count: the lane continues, however many come.
    """

    def __init__(self) -> None:
        self._read = 0.0
        self._at_fault = 0.0

    def check(self, read: int, at_fault: int) -> None:
        """Refuse a batch that exceeds the limit.

        Raises:
            TooManyFaults: with it, more than 10 of the last 1,000 records made the code raise.
        """
        read_all, at_fault_all = self._read + read, self._at_fault + at_fault
        if at_fault_all > _MOST * max(1, read_all / _LOOKED_BACK):
            raise TooManyFaults(
                f"more than {_MOST} of {_LOOKED_BACK:,} records made the code raise, as the log "
                "says: a defect; install the release that mends it, or the release before"
            )

    def add(self, read: int, at_fault: int) -> None:
        """Count a committed batch; older batches gradually count less."""
        self._read += read
        self._at_fault += at_fault
        if self._read > _LOOKED_BACK:
            self._at_fault *= _LOOKED_BACK / self._read
            self._read = _LOOKED_BACK
