"""Run the faults and write how often what happened, and what came of it.

    make faults                     200 of each kind, results/faults.json
    PYTHONPATH=tests python -m faults --rounds 20 --only kill-add,flip

Ends with 1 when anything was lost, seen half-written, or not named.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import crossbit
from crossbit.errors import CrossbitError
from crossbit.evaluation.machine import machine
from faults.cuts import Cutter, can_loop
from faults.damages import Damager
from faults.disks import Disk, can_mount
from faults.kills import Killer
from faults.world import OPERATIONS, Broken, build

KILLED = tuple(OPERATIONS)
ON_DISKS = ("add", "delete", "compact", "migrate", "restore")
FAULTS = (
    *(f"kill-{name}" for name in KILLED),
    *(f"full-{name}" for name in ON_DISKS),
    *(f"read-only-{name}" for name in ON_DISKS),
    "cut",
    "flip",
)
SHARE = {
    **{f"{kind}-{name}": 1 / len(ON_DISKS) for kind in ("full", "read-only") for name in ON_DISKS},
    **{f"kill-{name}": 1 / 4 for name in ("restore", "snapshot", "repair")},
}
"""Faults that come in several kinds share the rounds."""


def rounds_of(
    fault: str, template: Path, work: Path, seed: int
) -> tuple[Callable[[], None], Callable[[], dict[str, int]]]:
    """Give what makes one round of a fault, and what tells the outcomes."""
    kind, _, name = fault.replace("read-only", "cut_off").partition("-")
    if kind == "kill":
        killer = Killer(name, template, work, seed)
        return killer.kill, lambda: dict(killer.where)
    if kind == "full":
        disk = Disk(name, template, work, seed)
        return disk.full, lambda: dict(disk.outcome)
    if kind == "cut_off":
        cutter = Cutter(name, template, work, seed)
        return cutter.cut, lambda: dict(cutter.outcome)
    damager = Damager(template, work, seed)
    return lambda: damager.damage(kind), lambda: {**damager.outcome, **{f"in {k}": n for k, n in damager.hurt.items()}}


def run(fault: str, rounds: int, template: Path, work: Path, seed: int) -> dict[str, Any]:
    """Make so many rounds of a fault and count."""
    began, broken = time.monotonic(), list[str]()
    one, outcomes = rounds_of(fault, template, work, seed)
    for number in range(rounds):
        try:
            one()
        except (Broken, CrossbitError) as error:
            broken.append(f"round {number}: {error}")
            print(f"{fault}: {broken[-1]}", file=sys.stderr, flush=True)
    seconds = round(time.monotonic() - began, 1)
    return {"rounds": rounds, "broken": broken, "outcomes": outcomes(), "seconds": seconds}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, metavar="N", help="of each fault")
    parser.add_argument("--only", default="", metavar="NAMES", help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the counts as JSON; what is there is kept")
    arguments = parser.parse_args()
    chosen = [name for name in arguments.only.split(",") if name] or list(FAULTS)
    if unknown := set(chosen) - set(FAULTS):
        parser.error(f"no fault {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    fast = Path("/dev/shm")
    found: dict[str, Any] = {}
    if arguments.output and arguments.output.exists():
        found = json.loads(arguments.output.read_text())["faults"]
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as name:
        template = Path(name) / "world"
        build(template)
        mounts = can_mount(Path(name) / "probe") and can_loop(Path(name))
        for fault in chosen:
            if fault.startswith(("full", "read-only")) and not mounts:
                print(f"{fault}: skipped, this user may not mount a disk", file=sys.stderr)
                continue
            work = Path(name) / fault
            work.mkdir()
            rounds = -(-arguments.rounds // round(1 / SHARE.get(fault, 1)))
            found[fault] = {**run(fault, rounds, template, work, arguments.seed), "seed": arguments.seed}
            summary = f"{rounds} rounds, {len(found[fault]['broken'])} broken, {found[fault]['seconds']} s"
            print(f"{fault}: {summary}, {found[fault]['outcomes']}", flush=True)
            if arguments.output:
                _write(arguments.output, found)
    return int(any(found[fault]["broken"] for fault in chosen if fault in found))


def _write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "command": "make faults",
        "faults": {name: found[name] for name in FAULTS if name in found},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": crossbit.__version__,
        "machine": machine(),
    }
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(record, indent=1) + "\n")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
