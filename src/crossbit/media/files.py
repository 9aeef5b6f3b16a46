"""Open what a user calls a picture, a film or a sound: only regular files, and every other thing is told by its name."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from crossbit.errors import MediaError

_WHAT = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: Path, kind: str = "picture") -> io.BufferedReader:
    """Open a regular file for reading.

    It is opened first and looked at then, so that nothing can be put in its place between the two; and without waiting, so
    that a named pipe does not hold us for ever.

    Args:
        path: the file.
        kind: what was expected, for the message.

    Raises:
        MediaError: it is missing, empty, not readable or no regular file; the message says which.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise MediaError(f"{shown(path)}: {_why(path, error)}, expected a {kind}") from error
    except ValueError as error:  # a zero byte in the name
        raise MediaError(f"{shown(path)}: {error}, expected the path of a {kind}") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        what = _WHAT.get(stat.S_IFMT(found.st_mode), "something")
        raise MediaError(f"{shown(path)}: found {what}, expected a {kind}")
    if found.st_size == 0:
        os.close(handle)
        raise MediaError(f"{shown(path)}: the file is empty (0 bytes), expected a {kind}")
    return os.fdopen(handle, "rb")


def shown(path: str | os.PathLike[str]) -> str:
    """Give a path as text that can always be printed: bytes that are not UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _why(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "its symbolic links form a loop"
    if error.errno == errno.ENOENT and path.is_symlink():
        return f"a symbolic link to {shown(os.readlink(path))}, which does not exist"
    if error.errno == errno.ENXIO:
        return "found a socket"
    return (error.strerror or str(error)).lower()
