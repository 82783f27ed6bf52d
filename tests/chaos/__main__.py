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
from tests.chaos.plan import KINDS, REDIS_KINDS
from tests.chaos.run import Options, Outcome, run
from tests.chaos.stalls import longest

_SHOWN = 20
_STALLS = 8
_KINDS = ["leak", "lost", "duplicated", "reordered", "contradictory", "differs", "model", "servers"]


def main() -> int:
    """Run once and print what was found; 1 where anything was."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        help="of faults: a third of it beside each other, then one by one; default: each kind once",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument(
        "--rate", type=int, default=10, help="inbound messages a second, and as many sends"
    )
    parser.add_argument("--longest", type=float, default=8, help="seconds a fault may last")
    parser.add_argument("--redis", choices=REDIS_KINDS, default="one", help="what serves the list")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3)
    parser.add_argument(
        "--min-replicas",
        type=int,
        help="OPTOUT_REDIS_MIN_REPLICAS; default: 0 with one Redis, else 1",
    )
    parser.add_argument("--only", nargs="+", default=[], choices=KINDS, help="kinds of faults")
    parser.add_argument(
        "--strict-stalls", action="store_true", help="exit 1 for stalls that are too long, too"
    )
    parser.add_argument("--keep", type=Path, help="keep data and logs in this directory")
    parser.add_argument("--plan", action="store_true", help="print the plan and end")
    told = parser.parse_args()
    options = Options(
        seed=told.seed,
        seconds=told.seconds,
        rate=told.rate,
        longest_s=told.longest,
        min_replicas=told.min_replicas,
        redis=told.redis,
        brokers=told.brokers,
        only=tuple(told.only),
    )
    print(f"seed {options.seed}", flush=True)
    for fault in options.plan():
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
    too_long = told.strict_stalls and any(one.is_too_long for one in outcome.judged)
    return 1 if outcome.violations or too_long else 0


def summary(outcome: Outcome, began: float) -> list[str]:
    """The findings of a run, line by line."""
    suffered, counts, took_s = outcome.suffered, outcome.counts, outcome.took_s
    lines = [f"seed {outcome.options.seed}, {took_s:.0f} s", "faults survived:"]
    lines += [f"  {count:>6}  {kind}" for kind, count in sorted(suffered.by_kind.items())]
    lines += [f"  {count:>6}  {kind}: not done here" for kind, count in suffered.not_done.items()]
    lines += [f"  {count:>6}  in all" for count in [suffered.by_kind.total()]]
    lines += [f"  {outcome.swallowed:>6,}  bytes that never arrived"]
    lines += [f"  {outcome.refused_elections:>6}  partitions without an unclean leader"]
    lines += [f"  drifted: {what}" for what in suffered.drifts]
    lines += ["checked:"]
    lines += [f"  {count:>9,}  {name.replace('_', ' ')}" for name, count in sorted(counts.items())]
    lines += [f"  {outcome.compared:>9,}  events compared with the model"]
    lines += [f"  {outcome.written:>9,}  records written; {outcome.unknown} perhaps"]
    lines += [f"  {outcome.redelivered:>9,}  of them delivered again"]
    lines += [f"  {outcome.written / took_s:>9,.0f}  records a second"]
    found = Counter({kind: len(ones) for kind, ones in outcome.violations.items()})
    lines += ["violations:"]
    for kind in _KINDS:
        lines += [f"  {found[kind]:>6}  {kind}"]
        lines += [f"          {what}" for what in outcome.violations.get(kind, ())[:_SHOWN]]
    lines += [f"workers that ended by themselves: {len(outcome.ended_by_themselves)}"]
    lines += [f"  {what}" for what in outcome.ended_by_themselves]
    lines += [f"longest stall of a partition: {outcome.longest_stall_s:.1f} s"]
    lines += [f"outside of broker and Redis outages: {outcome.longest_stall_outside_s:.1f} s"]
    return lines + _stalls(outcome, began)


def _stalls(outcome: Outcome, began: float) -> list[str]:
    """How long partitions stood still, by kind of fault, and what the design does not allow."""
    found = outcome.judged
    lines = ["longest stall by kind of fault (beside others, alone, beyond what is allowed):"]
    by_kind = sorted(longest(found).items(), key=lambda one: (-one[1].excess, -one[1].of_all))
    lines += [
        f"  {one.of_all:>6.1f} {one.alone:>6.1f} {one.excess:>6.1f} s  {kind}"
        for kind, one in by_kind
    ]
    excess_s = max((one.excess_s for one in found), default=0.0)
    lines += [f"longest excess over what the design allows: {excess_s:.1f} s"]
    too_long = [one for one in found if one.is_too_long]
    lines += [f"stalls beyond what the design allows: {len(too_long)}"]
    lines += [
        f"  {one.stall.what} in partition {one.stall.partition}, {one.stall.began - began:.1f} to "
        f"{one.stall.ended - began:.1f} s, {one.excess_s:.1f} s too long, "
        f"after {one.after or 'no fault'}; beside {', '.join(one.kinds) or 'none'}"
        for one in too_long[:_STALLS]
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
