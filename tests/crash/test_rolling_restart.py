"""An upgrade, worker by worker, under load: nothing is lost, doubled, reordered or leaked."""

from __future__ import annotations

from pathlib import Path

import pytest

from processor.config import Settings
from tests.crash.rolling import roll

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
async def test_workers_restarted_one_after_another_under_load(
    settings: Settings, tmp_path: Path, static: bool
) -> None:
    # No static member is missed while it restarts, however slow the machine is.
    session_s = 120.0 if static else settings.session_timeout_s
    mine = settings.model_copy(update={"session_timeout_s": session_s})
    rolled = await roll(mine, tmp_path, static=static, rate=100)
    assert rolled.report.violations == ()
    assert rolled.report.counts["verdicts_checked"] == rolled.messages
    assert rolled.report.counts["opt-out-notifications.v1"] > 0
    # Static members' partitions wait for them; nobody else lets go of anything.
    assert (rolled.taken_by_others == 0) == static
