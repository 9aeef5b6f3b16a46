"""Waiting for work that may never end."""

from __future__ import annotations

import threading

import pytest

from crossbit.errors import MediaError, UsageError
from crossbit.media.deadline import in_time


def test_answers_and_errors_come_through() -> None:
    assert in_time(lambda: 7, "x", 5.0) == 7
    with pytest.raises(UsageError, match="mine"):
        in_time(lambda: (_ for _ in ()).throw(UsageError("mine")), "x", 5.0)
    with pytest.raises(MediaError, match=r"x.webp: cannot be decoded \(ZeroDivisionError"):
        in_time(lambda: 1 / 0, "x.webp", 5.0)
    with pytest.raises(MediaError, match="x.webp: does not fit into memory"):
        in_time(lambda: (_ for _ in ()).throw(MemoryError()), "x.webp", 5.0)


def test_what_does_not_end_is_given_up() -> None:
    never = threading.Event()
    with pytest.raises(MediaError, match="x.webp: not decoded after 0.01 s, given up"):
        in_time(never.wait, "x.webp", 0.01)
    never.set()
