"""An upgrade, worker by worker, under load: nothing is lost, doubled, reordered or leaked."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest

from processor.config import Settings
from tests.crash.rolling import WORKERS, roll
from tests.crash.sharing import patient

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
async def test_workers_restarted_one_after_another_under_load(
    settings: Settings, tmp_path: Path, static: bool
) -> None:
    rolled = await roll(patient(settings), tmp_path, static=static, rate=100)
    assert rolled.report.violations == ()
    assert rolled.report.counts["verdicts_checked"] == rolled.messages
    assert rolled.report.counts["opt-out-notifications.v1"] > 0
    # Others take only the partitions of the restarting worker; all other partitions stay.
    most = 2 * WORKERS * ceil(settings.partitions / WORKERS)
    assert 0 < rolled.taken_by_others <= most
