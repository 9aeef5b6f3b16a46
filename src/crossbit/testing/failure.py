"""What a failed check says. An `AssertionError`, not one of `errors.py`: a class is at fault, not data."""

from __future__ import annotations

from functools import partial
from typing import NoReturn


class PropertyFailed(AssertionError):  # noqa: N818 - read as a sentence: the property failed
    """A class does not keep what its protocol promises; `name` is the property that failed."""

    def __init__(self, subject: str, name: str, message: str) -> None:
        super().__init__(f"{subject}: {name}: {message}")
        self.name = name


def fail(subject: object, name: str, message: str) -> NoReturn:
    """Raise `PropertyFailed` in the name of a class, a function or an object."""
    made = subject.func if isinstance(subject, partial) else subject
    raise PropertyFailed(getattr(made, "__name__", type(made).__name__), name, message)
