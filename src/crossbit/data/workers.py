"""Worker processes that decode pictures: asked one at a time each, replaced when they die, ended with whoever asks."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from threading import Lock

import numpy as np
from jaxtyping import UInt8

from crossbit.data.decoding import BROKEN, HEAD, SOUND, Augment, settings_line
from crossbit.errors import MediaError

_PROGRAM = "from crossbit.data.decoding import work; work(sys.argv[1])"
_GRACE_S = 5.0
_ATTEMPTS = 3
# glibc otherwise gives the memory of every picture back and faults it in anew, which costs as much as decoding
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**26), "MALLOC_MMAP_THRESHOLD_": str(2**25)}


class WorkersClosed(Exception):  # noqa: N818 - caught and answered in this room
    """The workers were ended while somebody waited for one."""


class Workers:
    """As many workers as are asked at once; each starts when it is first needed, in about a third of a second."""

    def __init__(self, edge: int, augment: Augment | None, timeout_s: float) -> None:
        self.settings = settings_line(edge, augment, timeout_s)
        self.timeout_s = 2 * timeout_s + _GRACE_S  # the worker watches the clock itself; this is for one that hangs
        self._lock = Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False

    def decode(self, path: str, draw: Sequence[int], into: UInt8[np.ndarray, "edge edge 3"]) -> None:
        """Let one worker decode a picture into an array.

        A worker that ends over it is replaced and asked again, since it may have been ended from outside; the third time the
        picture is at fault.

        Raises:
            MediaError: it cannot be read, takes too long, or ends the worker.
            WorkersClosed: `close` was called meanwhile.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            worker = self._take()
            try:
                worker.ask(path, draw, into, self.timeout_s)
            except (OSError, EOFError) as error:
                self._drop(worker)
                if self._closed:
                    raise WorkersClosed from error
                if isinstance(error, TimeoutError):
                    raise MediaError(f"{path}: not decoded after {self.timeout_s:g} s, given up") from error
                if attempt == _ATTEMPTS:
                    raise MediaError(f"{path}: decoding it ended the worker process, {attempt} times") from error
            except MediaError:
                self._give_back(worker)
                raise
            except BaseException:
                self._drop(worker)  # half an answer may lie in its pipe
                raise
            else:
                self._give_back(worker)
                return

    def pids(self) -> list[int]:
        """Give the process numbers of the workers that run."""
        with self._lock:
            return sorted(worker.process.pid for worker in self._all)

    def close(self) -> None:
        """End all workers, whatever they do."""
        with self._lock:
            self._closed = True
            idle, busy = self._idle, self._all.difference(self._idle)
            self._idle, self._all = [], set()
        for worker in idle:
            worker.end()
        for worker in busy:  # whoever waits for its answer sees the end of it, and closes the pipes
            worker.process.kill()
            worker.process.wait()

    def _take(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise WorkersClosed
            while self._idle:
                if (worker := self._idle.pop()).process.poll() is None:
                    return worker
                self._all.discard(worker)  # it was ended while nobody asked it
                worker.end()
            worker = _Worker(self.settings)
            self._all.add(worker)
            return worker

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        worker.end()

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.end()


class _Worker:
    """One process and the pipes to it."""

    def __init__(self, settings: str) -> None:
        program = f"import sys; sys.path[:] = {sys.path!r}\n{_PROGRAM}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**_KEEP_MEMORY, **os.environ},
        )

    def ask(self, path: str, draw: Sequence[int], into: UInt8[np.ndarray, "edge edge 3"], timeout_s: float) -> None:
        """Send a request and read the answer."""
        assert self.process.stdin is not None
        deadline = time.monotonic() + timeout_s
        self.process.stdin.write(json.dumps({"path": path, "draw": list(draw)}).encode() + b"\n")
        head = bytearray(HEAD.size)
        self._read(memoryview(head), deadline)
        status, size = HEAD.unpack(head)
        if status == SOUND:
            assert size == into.nbytes, f"worker gave {size} bytes, expected {into.nbytes}"
            self._read(into.data.cast("B"), deadline)
            return
        answer = bytearray(size)
        self._read(memoryview(answer), deadline)
        said = answer.decode("utf-8", "replace")
        if status == BROKEN:
            raise MediaError(said)
        raise RuntimeError(f"a worker failed at {path}:\n{said}")

    def end(self) -> None:
        """Kill it and close the pipes."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self, into: memoryview, deadline: float) -> None:
        assert self.process.stdout is not None
        handle, done = self.process.stdout.fileno(), 0
        while done < len(into):
            ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            part = os.readv(handle, [into[done:]])
            if not part:
                raise EOFError
            done += part
