"""Generated parts of hand-written pages: each stands between two marks, and only what is between them is replaced."""

from __future__ import annotations

import os
from pathlib import Path

from crossbit.errors import DataError


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Put text between two marks of a page, and leave the rest as it is.

    Args:
        page: the file.
        begin: the first mark, with its line end.
        end: the second.
        text: what stands between them.

    Raises:
        DataError: the page is not there, or has not both marks.
    """
    try:
        before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    except OSError as error:
        raise DataError(f"{page}: cannot be read ({error.strerror}), expected a page with two marks") from error
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise DataError(
            f"{page}: lacks {'the first' if not found else 'the second'} mark", f"write {begin + end!r} into it"
        )
    partial = page.with_name(f".{page.name}.partial-{os.getpid()}")
    partial.write_text(before + begin + text + end + after, encoding="utf-8")
    partial.replace(page)
