"""Wait for a decoder only so long: what a damaged or hostile file asks for must not hold the program."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from crossbit.errors import CrossbitError, MediaError

_GRACE_S = 0.5

_T = TypeVar("_T")


def in_time(work: Callable[[], _T], name: str, timeout_s: float) -> _T:
    """Run in a thread and wait at most so long; a little longer where the work watches the clock itself and says more.

    Raises:
        MediaError: it took too long, or raised something; errors of our own family come through as they are.
    """
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((True, work()))
        except CrossbitError as error:
            outcome.append((False, error))
        except MemoryError:
            outcome.append((False, MediaError(f"{name}: does not fit into memory")))
        except Exception as error:  # whatever a decoder raises on damaged data, the file is at fault
            made = MediaError(f"{name}: cannot be decoded ({type(error).__name__}: {error})")
            made.__cause__ = error
            outcome.append((False, made))

    thread = threading.Thread(target=run, daemon=True, name="crossbit-decode")
    thread.start()
    thread.join(timeout_s + _GRACE_S)
    if not outcome:
        raise MediaError(
            f"{name}: not decoded after {timeout_s:g} s, given up", "a longer time can be given as `timeout_s`"
        )
    done, value = outcome[0]
    if not done:
        raise value
    return value  # type: ignore[no-any-return]
