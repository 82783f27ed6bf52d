"""`python -m tests.chaos`: faults under load, then a verdict; see ``--help``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.clock import libfaketime
from tests.chaos.plan import make_plan
from tests.chaos.run import Options, Outcome, run

_SHOWN = 20
_STALLS = 8


def main() -> int:
    """Run once and print what was found; 1 where anything was."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, help="of faults; default: every kind once")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument(
        "--rate", type=int, default=200, help="inbound messages a second, and sends"
    )
    parser.add_argument("--longest", type=float, default=8, help="seconds a fault may last")
    parser.add_argument("--min-replicas", type=int, default=0, help="OPTOUT_REDIS_MIN_REPLICAS")
    parser.add_argument("--keep", type=Path, help="keep data and logs in this directory")
    parser.add_argument("--plan", action="store_true", help="print the plan and end")
    told = parser.parse_args()
    options = Options(
        seed=told.seed,
        seconds=told.seconds,
        rate=told.rate,
        longest_s=told.longest,
        min_replicas=told.min_replicas,
    )
    print(f"seed {options.seed}", flush=True)
    for fault in make_plan(options.seed, longest_s=options.longest_s, seconds=options.seconds):
        print(f"  {fault.track}: {fault.after_s:g} s later {fault.kind}, {fault.hold_s:g} s")
    if told.plan:
        return 0
    if libfaketime() is None:
        print("clocks are not stepped: libfaketime is missing (Debian: apt-get install faketime)")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the carrier's own, asked again
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        directory = told.keep or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(run(options, directory, say))
    print("\n".join(summary(outcome, began)))
    return 1 if outcome.violations else 0


def summary(outcome: Outcome, began: float) -> list[str]:
    """What a run found, line by line."""
    suffered, counts, took_s = outcome.suffered, outcome.counts, outcome.took_s
    lines = [f"seed {outcome.options.seed}, {took_s:.0f} s", "faults survived:"]
    lines += [f"  {count:>6}  {kind}" for kind, count in sorted(suffered.by_kind.items())]
    lines += [f"  {count:>6}  {kind}: not done here" for kind, count in suffered.not_done.items()]
    lines += [f"  {count:>6}  in all" for count in [suffered.by_kind.total()]]
    lines += ["checked:"]
    lines += [f"  {count:>9,}  {name.replace('_', ' ')}" for name, count in sorted(counts.items())]
    lines += [f"  {outcome.compared:>9,}  events compared with the model"]
    lines += [f"  {outcome.written:>9,}  records written; {outcome.unknown} perhaps"]
    lines += [f"  {outcome.redelivered:>9,}  of them delivered again"]
    lines += [f"  {outcome.written / took_s:>9,.0f}  records a second"]
    found = Counter({kind: len(ones) for kind, ones in outcome.violations.items()})
    lines += ["violations:"]
    for kind in ("leak", "lost", "duplicated", "reordered", "contradictory", "differs", "model"):
        lines += [f"  {found[kind]:>6}  {kind}"]
        lines += [f"          {what}" for what in outcome.violations.get(kind, ())[:_SHOWN]]
    lines += [f"workers that ended by themselves: {len(outcome.ended_by_themselves)}"]
    lines += [f"  {what}" for what in outcome.ended_by_themselves]
    lines += [f"longest stall of a partition: {outcome.longest_stall_s:.1f} s"]
    lines += [f"outside of broker and Redis outages: {outcome.longest_stall_outside_s:.1f} s"]
    outages = suffered.outages
    worst = sorted(outcome.stalls, key=lambda stall: -stall.outside(outages))[:_STALLS]
    lines += [
        f"  {stall.what} in partition {stall.partition}, {stall.began - began:.1f} to "
        f"{stall.ended - began:.1f} s, {stall.outside(outages):.1f} s of it outside"
        for stall in worst
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
