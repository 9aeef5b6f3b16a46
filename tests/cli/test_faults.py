"""Every error ends as one sentence, a hint and an exit code."""

from __future__ import annotations

import errno
import os

import pytest

from crossbit.cli.faults import explain, how_to_go_on
from crossbit.errors import CollectionError, ConfigError, CrossbitError, NothingFound


def chained(inner: Exception) -> Exception:
    try:
        try:
            raise inner
        except Exception as error:
            raise RuntimeError("a.lance: could not be written") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (ConfigError("`epoch` does not exist", "did you mean `epochs`?"), "error: `epoch` does not exist", 2),
        (CollectionError("a: No space left on device"), "error: a: No space left on device", 3),
        (NothingFound("nothing found for 'x'"), "nothing found for 'x'", 1),
        (CrossbitError("strange"), "error: strange", 4),
        (
            PermissionError(errno.EACCES, "Permission denied", "a/caf\udce9.jpg"),
            r"error: a/caf\xe9.jpg: Permission denied",
            3,
        ),
        (OSError(errno.ENOSPC, "No space left on device", "a/b.npy"), "error: a/b.npy: no space left on the disk", 3),
        (RuntimeError("lance: IO(No space left on device (os error 28))"), "error: no space left on the disk", 3),
        (chained(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "a/c")), "error: a/c: no space left on the disk", 3),
        (MemoryError(), "error: not enough memory", 4),
        (KeyError("x\ny"), r"error: KeyError: 'x\ny'", 4),
        (ZeroDivisionError(), "error: ZeroDivisionError", 4),
        (OSError("no file name"), "error: OSError: no file name", 4),
    ],
)
def test_an_error_becomes_a_sentence(error: Exception, message: str, code: int) -> None:
    found = explain(error)
    assert (found[0], found[2]) == (message, code)


def test_hints() -> None:
    assert explain(ConfigError("x", "do y"))[1] == "do y"
    assert "--debug" in explain(KeyError("x"))[1]
    assert "what was finished before is kept" in explain(OSError(errno.ENOSPC, "No space left on device"))[1]


def test_a_long_summary_stays_one_line() -> None:
    message = explain(ValueError("a\nb\n" * 1000))[0]
    assert "\n" not in message
    assert len(message) < 330


def test_after_an_interruption_the_way_on_is_named() -> None:
    assert "--resume" in how_to_go_on("train")
    assert "the same command goes on" in how_to_go_on("index")
    assert how_to_go_on("search") == "nothing was changed"
