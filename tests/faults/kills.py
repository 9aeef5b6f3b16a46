"""SIGKILL at random moments: half by the clock, half at the n-th file operation that Python makes."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.world import HOME, OPERATIONS, State, check_between, check_rows, copy, finish, must, opened, state_of

_PATIENCE = 60  # seconds
EVENTS = frozenset(
    {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}
)


def watch(folder: Path, act_at: int, act: Callable[[], None]) -> Callable[[], int]:
    """Do something at the n-th file operation of this process below a folder; give what counts them."""
    count, inside = 0, os.fspath(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in EVENTS and arguments and isinstance(arguments[0], (str, os.PathLike)):
            if not os.fspath(arguments[0]).startswith(inside):
                return
            count += 1
            if count == act_at:
                act()

    sys.addaudithook(hook)
    return lambda: count


def prepare_process() -> None:
    """Do what takes time before the clock starts, and nothing that outlives a killed process."""
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # not the one between processes, which a killed process would leave behind


def victim(place: str, name: str, kill_at: int, told: Any) -> None:
    """Run an operation; at the n-th file operation this process kills itself. Tells their number if it comes to an end."""
    prepare_process()
    folder = Path(place)
    count = watch(folder / HOME, kill_at, lambda: os.kill(os.getpid(), signal.SIGKILL))
    told.send("ready")
    began = time.monotonic()
    OPERATIONS[name].run(folder)
    told.send((count(), time.monotonic() - began))
    os._exit(0)


def forkserver() -> Any:
    """Give a context in which a process starts in a moment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pandas", "pyarrow.dataset", "lancedb", "faults.kills"])  # imported once, for all
    return context


class Killer:
    """Kills an operation again and again.

    Args:
        name: of the operation.
        template: a world in which it was not done yet.
        work: where worlds are copied to.
        seed: of the moments.
    """

    def __init__(self, name: str, template: Path, work: Path, seed: int) -> None:
        self.name, self.operation, self.work = name, OPERATIONS[name], work
        self.chance = random.Random(f"{name} {seed}")
        self.context = forkserver()
        self.where: Counter[str] = Counter()
        self.template = work / f"template-{name}"
        copy(template, self.template)
        self.operation.prepare(self.template)
        self.before: State = _state_or_empty(self.template)
        ended = self._round(0, None)
        assert ended is not None, "the operation did not come to its end by itself"
        self.events, self.seconds = ended
        self.after = state_of(opened(work / "world" / HOME))

    def _round(self, kill_at: int, wait: float | None) -> tuple[int, float] | None:
        """Run the operation on a fresh copy; None when it was killed."""
        world = self.work / "world"
        shutil.rmtree(world, ignore_errors=True)
        copy(self.template, world)
        listen, told = self.context.Pipe(duplex=False)
        process = self.context.Process(target=victim, args=(str(world), self.name, kill_at, told), daemon=True)
        process.start()
        told.close()
        assert listen.poll(_PATIENCE)
        assert listen.recv() == "ready"
        if wait is not None:
            time.sleep(wait)
            process.kill()
        process.join(_PATIENCE)
        if process.exitcode is None:  # LanceDB says of itself that it may stop after a fork
            process.kill()
            process.join()
            self.where["stopped by itself, not counted"] += 1
            return self._round(kill_at, wait)
        try:
            ended: tuple[int, float] | None = listen.recv() if listen.poll(0) else None
        except EOFError:
            ended = None
        must(ended is not None or process.exitcode == -signal.SIGKILL, f"the victim ended with {process.exitcode}")
        return ended

    def kill(self) -> None:
        """Kill once, in the middle of the operation, and check."""
        while True:
            by_clock = self.chance.random() < 0.5
            if by_clock:
                ended = self._round(0, self.chance.uniform(0, self.seconds * 1.2))
            else:
                ended = self._round(self.chance.randint(1, self.events), None)
            if ended is None:  # else it was done before the clock ran out, which counts for nothing
                break
        self.where["by the clock" if by_clock else "at a file operation"] += 1
        world = self.work / "world"
        if self.name != "repair":
            collection = opened(world / HOME)
            report = collection.verify()
            must(report.ok, f"damage: {report.damage}")
            check_between(collection, self.operation, self.before, self.after)
            check_rows(collection)
        finish(world, self.operation, self.after)
        check_rows(opened(world / HOME))


def _state_or_empty(template: Path) -> State:
    from crossbit.errors import CollectionError

    try:
        return state_of(opened(template / HOME))
    except CollectionError:  # the world of `repair` is damaged
        return {}
