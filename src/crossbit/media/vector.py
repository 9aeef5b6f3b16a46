"""Draw SVGs with resvg, in a process of its own that can neither open files nor bring us down.

A drawing is a program: a few hundred bytes can ask for hours of work, for more memory than there is (resvg then aborts its
process), or name other files of the machine as its pictures. So it is drawn by a child process that has given up opening
files and taking much memory, and that is killed when its time is over. A child serves many drawings and costs 60 ms to
start; each thread that draws has its own.

Text is drawn only as far as a drawing brings its letters as paths: fonts differ from machine to machine, and the same file
must give the same picture on all of them.
"""

from __future__ import annotations

import atexit
import os
import select
import struct
import subprocess
import sys
import time
from threading import Lock
from typing import IO

from crossbit.errors import MediaError

EDGE = 1024
MAX_BYTES = 32 * 2**20
_REFUSED = 1

_WORKER = r"""
import struct, sys
import resvg_py
source, target = sys.stdin.buffer, sys.stdout.buffer
def draw(data, edge):
    return resvg_py.svg_to_bytes(svg_string=data, width=edge, height=edge, dpi=96, skip_system_fonts=True)
draw('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>', 1)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
except (ImportError, ValueError, OSError):
    pass  # not on this system
while len(head := source.read(8)) == 8:
    size, edge = struct.unpack("<II", head)
    data = source.read(size)
    try:
        status, answer = 0, bytes(draw(data.decode("utf-8"), edge))
    except BaseException as error:
        status, answer = 1, str(error).encode()
    target.write(struct.pack("<II", status, len(answer)) + answer)
    target.flush()
"""


def render(data: bytes, name: str, size: int | None, timeout_s: float) -> bytes:
    """Draw an SVG so that its longer side has `size` pixels (1024 without a size), and give it as PNG with alpha.

    Raises:
        MediaError: not a drawing, too long in the making, or more than the memory allows.
    """
    if len(data) > MAX_BYTES:
        raise MediaError(f"{name}: {len(data):,} bytes of SVG, expected at most {MAX_BYTES:,}")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise MediaError(f"{name}: an SVG that is not UTF-8 ({error.reason} at byte {error.start})") from error
    worker = _take()
    try:
        status, answer = worker.ask(text.encode(), size or EDGE, timeout_s)
    except TimeoutError as error:
        worker.kill()
        raise MediaError(f"{name}: not drawn after {timeout_s:g} s, given up") from error
    except (OSError, EOFError) as error:
        worker.kill()
        raise MediaError(f"{name}: drawing it ended the renderer, it asks for too much memory") from error
    _give_back(worker)
    if status == _REFUSED:
        raise MediaError(f"{name}: an SVG that cannot be drawn ({answer.decode('utf-8', 'replace')})")
    return answer


class _Worker:
    """One child process and the pipes to it."""

    def __init__(self) -> None:
        # isolated and without site-packages' start-up files: quick, and deaf to the environment
        program = f"import sys; sys.path[:] = {sys.path!r}\n{_WORKER}"
        self.owner = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            close_fds=True,
        )

    def ask(self, data: bytes, edge: int, timeout_s: float) -> tuple[int, bytes]:
        """Send a drawing and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        self.process.stdin.write(struct.pack("<II", len(data), edge) + data)
        self.process.stdin.flush()
        status, size = struct.unpack("<II", _read(self.process.stdout, 8, deadline))
        return status, _read(self.process.stdout, size, deadline)

    def kill(self) -> None:
        """End the child and close the pipes."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what could not be sent any more
                    continue
        self.process.wait()


_idle: list[_Worker] = []
_lock = Lock()


def _take() -> _Worker:
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.owner == os.getpid():  # pipes must not be shared with a forked parent
                return worker
    return _Worker()


def _give_back(worker: _Worker) -> None:
    with _lock:
        _idle.append(worker)


@atexit.register
def _close() -> None:
    for worker in _idle:
        if worker.owner == os.getpid():
            worker.kill()


def _read(pipe: IO[bytes], size: int, deadline: float) -> bytes:
    """Read exactly so many bytes before the deadline."""
    parts = bytearray()
    handle = pipe.fileno()
    while len(parts) < size:
        ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(handle, min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
