"""What an error becomes on the command line: one sentence, a hint, an exit code."""

from __future__ import annotations

import errno
import os

from crossbit.cli.show import printable
from crossbit.errors import CrossbitError, NothingFound

DATA, INTERNAL = 3, 4
INTERRUPTED = 128 + 2  # as shells count: 128 and the signal
BROKEN_PIPE = 128 + 13

_FULL = {errno.ENOSPC, errno.EDQUOT}


def explain(error: Exception) -> tuple[str, str, int]:
    """Give the sentence, the hint and the exit code for an error that reached the top."""
    if isinstance(error, NothingFound):
        return error.message, error.hint, error.exit_code
    if isinstance(error, CrossbitError):
        return f"error: {error.message}", error.hint, error.exit_code
    if (place := _full_disk(error)) is not None:
        where = f"{printable(place)}: " if place else ""
        return (
            f"error: {where}no space left on the disk",
            "free some space and run the same command again; what was finished before is kept",
            DATA,
        )
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {printable(error.filename)}: {error.strerror}", "", DATA
    if isinstance(error, MemoryError):
        return "error: not enough memory", "a smaller `--batch-size` or `--max-pixels` needs less", INTERNAL
    summary = " ".join(str(error).split())[:300]
    return (
        f"error: {type(error).__name__}: {summary}" if summary else f"error: {type(error).__name__}",
        "this is a fault in crossbit; run again with --debug for the trace",
        INTERNAL,
    )


def how_to_go_on(verb: str | None) -> str:
    """Say after Ctrl-C what is kept and how to continue."""
    if verb == "train":
        return "the last whole epoch is kept; the same command with `--resume` goes on"
    if verb in ("index", "demo", "bench", "data", "collection", "embed"):
        return "what was finished is kept; the same command goes on"
    return "nothing was changed"


def _full_disk(error: BaseException | None) -> str | None:
    """Ask the error and its causes; other packages report a full disk only in their text. Gives the file, "" if unknown."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return os.fspath(error.filename) if isinstance(error.filename, str) else ""
        if os.strerror(errno.ENOSPC).lower() in str(error).lower():
            return ""
        error = error.__cause__ or error.__context__
    return None
