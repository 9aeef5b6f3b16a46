"""Disks that go read-only in the middle and come back as after a power cut.

An ext4 file system in a file, mounted through a loop device. At a random file operation its journal is aborted, as the kernel
does on a failing disk: from then on nothing can be written, also not to files that are open. Then it is taken off, checked and
mounted again: what was not forced to the disk by then is gone.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from crossbit.errors import CollectionError
from faults.kills import forkserver, prepare_process, watch
from faults.world import (
    HOME,
    OPERATIONS,
    Broken,
    State,
    check_between,
    check_rows,
    copy,
    finish,
    must,
    opened,
    state_of,
)

_REMOUNT = 32
_MEGABYTES = 24


def can_loop(folder: Path) -> bool:
    """Say whether this user may mount a file as a disk."""
    try:
        _make(folder / "probe.img")
        with _Mounted(folder / "probe.img", folder / "probe"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _make(image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(_MEGABYTES << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "2048", image], check=True, capture_output=True)


class _Mounted:
    """A mounted image; taken off at the end, whatever still looks at it."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image, self.folder = image, folder

    def __enter__(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.folder], check=True, capture_output=True)
        return self.folder

    def __exit__(self, *_: object) -> None:
        gc.collect()
        for _attempt in range(50):
            if not subprocess.run(["umount", self.folder], capture_output=True).returncode:
                return
            time.sleep(0.1)
        subprocess.run(["umount", "-l", self.folder], check=True)


def _abort(folder: Path) -> None:
    """Let the file system fail."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, os.fsencode(folder), None, _REMOUNT, b"abort"):
        raise OSError(ctypes.get_errno(), "the file system cannot be made to fail")


def victim(place: str, name: str, abort_at: int, before: State, after: State, told: Any) -> None:
    """Run an operation on a disk that fails at the n-th file operation, and look at the collection while it is read-only."""
    prepare_process()
    folder, operation = Path(place), OPERATIONS[name]
    count = watch(folder / HOME, abort_at, lambda: _abort(folder))
    try:
        operation.run(folder)
        outcome = "it was done before"
        if count() < abort_at:
            _abort(folder)
    except CollectionError as error:
        outcome = "refused" if "cannot be written here (read-only file system)" in str(error) else f"refused: {error}"
    try:
        if abort_at:
            _check(folder, operation, before, after)
    except Broken as error:
        outcome = f"broken: while it was read-only: {error}"
    told.send((outcome, count()))
    os._exit(0)


def _check(world: Path, operation: Any, before: State, after: State) -> None:
    collection = opened(world / HOME)
    report = collection.verify()
    must(report.ok, f"damage: {report.damage}")
    check_between(collection, operation, before, after)
    check_rows(collection)


class Stopped(Exception):  # noqa: N818 - what it says
    """LanceDB stopped in a process that was forked, as it says of itself that it may."""


class Cutter:
    """Lets the disk fail under an operation, again and again.

    Args:
        name: of the operation.
        template: a world.
        work: where images and worlds lie.
        seed: of the moments.
    """

    def __init__(self, name: str, template: Path, work: Path, seed: int) -> None:
        self.name, self.operation, self.work = name, OPERATIONS[name], work
        self.chance, self.context = random.Random(f"{name} {seed}"), forkserver()
        self.outcome: Counter[str] = Counter()
        prepared = work / "prepared"
        copy(template, prepared)
        self.operation.prepare(prepared)
        self.before: State = state_of(opened(prepared / HOME))
        self.after: State = {}
        self.image, self.disk = work / "template.img", work / "disk"
        _make(self.image)
        with _Mounted(self.image, self.disk) as disk:
            copy(prepared, disk)
        with self._fresh("first.img") as disk:
            self.events = self._run(disk, 0)[1]
            self.after = state_of(opened(disk / HOME))

    def _fresh(self, name: str) -> _Mounted:
        image = self.work / name
        subprocess.run(["cp", "--sparse=always", self.image, image], check=True)
        return _Mounted(image, self.disk)

    def _run(self, disk: Path, abort_at: int) -> tuple[str, int]:
        listen, told = self.context.Pipe(duplex=False)
        arguments = (str(disk), self.name, abort_at, self.before, self.after, told)
        process = self.context.Process(target=victim, args=arguments, daemon=True)
        process.start()
        told.close()
        try:
            if not listen.poll(60):
                raise Stopped
            found: tuple[str, int] = listen.recv()
        except EOFError:
            raise Broken("the process ended by itself") from None
        finally:
            process.kill()
            process.join()
        return found

    def cut(self) -> None:
        """Let the disk fail once, look, mend the file system, look again, and do the operation to its end."""
        image = self.work / "round.img"
        while True:
            try:
                with self._fresh(image.name) as disk:
                    outcome, _ = self._run(disk, self.chance.randint(1, self.events))
                break
            except Stopped:
                self.outcome["stopped by itself, not counted"] += 1
        must(not outcome.startswith("broken"), outcome)
        self.outcome[outcome] += 1
        checked = subprocess.run(["e2fsck", "-y", image], capture_output=True, text=True)
        must(checked.returncode in (0, 1), f"e2fsck: {checked.stdout}")
        with _Mounted(image, self.disk) as disk:
            _check(disk, self.operation, self.before, self.after)
            if outcome == "it was done before":
                must(state_of(opened(disk / HOME)) == self.after, "what was done is lost")
            world = self.work / "world"
            shutil.rmtree(world, ignore_errors=True)
            copy(disk / "pictures", world / "pictures")
        finish(world, self.operation, self.after)
