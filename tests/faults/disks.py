"""Disks that are full: a small one in memory, where one can be mounted."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from pathlib import Path

from crossbit.errors import CollectionError
from faults.world import HOME, OPERATIONS, State, check_between, check_rows, copy, finish, must, opened, state_of


def can_mount(folder: Path) -> bool:
    """Say whether this user may mount a disk."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        return False
    subprocess.run(["umount", "-l", folder], check=True)
    return True


class Disk:
    """Runs operations on a small disk.

    Args:
        name: of the operation.
        template: a world.
        work: where the disk is mounted.
        seed: of sizes and moments.
    """

    def __init__(self, name: str, template: Path, work: Path, seed: int) -> None:
        self.name, self.operation, self.disk = name, OPERATIONS[name], work / "disk"
        self.chance = random.Random(f"{name} {seed}")
        self.template = work / f"template-{name}"
        copy(template, self.template)
        self.operation.prepare(self.template)
        self.before: State = state_of(opened(self.template / HOME))
        self.outcome: Counter[str] = Counter()
        self._mount(64 << 20)
        empty = self._used()
        copy(self.template, self.disk)
        self.size = self._used() - empty
        self.operation.run(self.disk)
        self.grown = max(self._used() - empty, self.size + (64 << 10))
        self.after = state_of(opened(self.disk / HOME))
        self._unmount()

    def _mount(self, size: int) -> None:
        self.disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.disk], check=True)

    def _unmount(self) -> None:
        subprocess.run(["umount", "-l", self.disk], check=True)

    def _used(self) -> int:
        found = os.statvfs(self.disk)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def full(self) -> None:
        """Run on a disk that has room for a part of what is written, then give it room and go on."""
        room = self.chance.randint(0, max(self.grown - self.size, 1))
        self._mount(self.size + room + (8 << 10))
        try:
            copy(self.template, self.disk)
            try:
                self.operation.run(self.disk)
                self.outcome["it fitted"] += 1
            except CollectionError as error:
                must("no space left on the disk" in str(error), f"the message is {error}")
                self.outcome["refused"] += 1
            self._check()
            subprocess.run(["mount", "-o", "remount,size=64m", self.disk], check=True)
            finish(self.disk, self.operation, self.after)
        finally:
            self._unmount()

    def _check(self) -> None:
        collection = opened(self.disk / HOME)
        report = collection.verify()
        must(report.ok, f"damage: {report.damage}")
        check_between(collection, self.operation, self.before, self.after)
        check_rows(collection)
