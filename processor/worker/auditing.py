"""The role audit: checks what happened, some time after it did, again and again."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path

from processor import clocks
from processor.audit import Options, Report, Snapshot, StateRefused, audit, results, take_snapshot
from processor.config import Settings
from processor.errors import RetryableError
from processor.metrics import Metrics

logger = logging.getLogger(__name__)

_LOGGED = 20  # violations of an audit; `optout audit --last` prints all that are kept


class Auditor:
    """Audits up to where match and gate were some time ago, so that everything is settled.

    Args:
        settings: with a directory for the state.
        metrics: of the process.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        assert settings.audit_directory is not None, "settings are checked"
        self._settings = settings
        self._metrics = metrics
        self._directory = Path(settings.audit_directory)
        self.problem: str | None = None  # why the last audit failed

    async def run(self) -> None:
        """Audit for ever; a failure is logged, counted and tried again."""
        with suppress(StateRefused):  # the first audit says so
            if (last := results.last(self._directory)) is not None:
                self._metrics.audited_until.set(last.until_ms / 1000)
        while True:
            began = time.monotonic()
            try:
                await self.audit_once()
                self.problem = None
            except StateRefused as error:
                self._fail(error)
                logger.error("audit.refused", extra={"why": self.problem})
            except RetryableError as error:
                self._fail(error)
                logger.warning("audit.failed", extra={"why": self.problem})
            except Exception as error:
                self._fail(error)
                self.problem = type(error).__name__  # its text may quote a record
                logger.error("audit.failed", exc_info=error)
            rest_s = self._settings.audit_every_s - (time.monotonic() - began)
            await asyncio.sleep(max(clocks.RETRY_S, rest_s))

    def _fail(self, error: Exception) -> None:
        self.problem = str(error)
        self._metrics.audit_failed(error)

    async def audit_once(self) -> Report | None:
        """Take a snapshot, and audit up to the latest one that is old enough; None: none is.

        Raises:
            RetryableError: Kafka or Redis does not answer.
            StateRefused: the state cannot be gone on from.
        """
        with results.alone_in(self._directory):
            snapshot = self._due(await take_snapshot(self._settings))
        if snapshot is None:
            return None
        began, settings = time.monotonic(), self._settings
        report = await audit(
            settings,
            Options(self._directory),
            processes=settings.audit_processes,
            snapshot=snapshot,
        )
        took_s = time.monotonic() - began
        self._metrics.audited(report.counts, took_s)
        self._metrics.audited_until.set(report.until_ms / 1000)
        self._log(report, took_s)
        return report

    def _due(self, new: Snapshot) -> Snapshot | None:
        """Keep a snapshot, and take the latest one that is old enough."""
        kept = [*results.snapshots(self._directory), new]
        before_ms = new.at_ms - round(1000 * self._settings.audit_delay_s)
        old = [one for one in kept if one.at_ms <= before_ms]
        left = [one for one in kept if one.at_ms > before_ms]
        results.keep_snapshots(self._directory, [*old[-1:], *left])  # again, if it fails
        return old[-1] if old else None

    def _log(self, report: Report, took_s: float) -> None:
        for one in report.violations[:_LOGGED]:
            violation = {"kind": one.kind, "where": one.where, "what": one.what}
            logger.error("audit.violation", extra=violation)
        records = sum(count for name, count in report.counts.items() if ".v" in name)
        fields = {"records": records, "violations": len(report.violations)}
        logger.info("audit.ended", extra={**fields, "took_ms": round(1000 * took_s)})
