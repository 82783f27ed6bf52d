"""A process whose clock can be stepped otherwise behaves like any other process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.clock import Clock, libfaketime

_TIME = "import time; print(time.time())"
# Two threads contend for the interpreter's lock, and wait for it by the monotonic clock.
_WAITS = """
import resource, threading, time
ends = time.perf_counter() + 1
def work():
    while time.perf_counter() < ends: pass
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw)
"""


def said_by(program: str, command: Sequence[str] = ()) -> float:
    ran = subprocess.run(
        [*command, sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return float(ran.stdout)


def test_a_step_is_one_of_the_time_of_day_where_the_library_is_there(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    clock.step(7_200)
    ahead_s = said_by(_TIME, clock.command) - said_by(_TIME)
    assert ahead_s == pytest.approx(7_200 if libfaketime() else 0, abs=60)


def test_threads_that_wait_do_not_spin(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    assert said_by(_WAITS, clock.command) < 10 * said_by(_WAITS)
