"""What verbs print with: results to stdout, everything else to stderr, names that any terminal can show."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer


def printable(name: str | bytes | os.PathLike[str]) -> str:
    r"""Give a file name that a terminal can show: control characters and bytes that are not UTF-8 become escapes (`\xe4`)."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def say(text: str) -> None:
    """Print a line of talk, such as which model is used, to stderr."""
    typer.echo(text, err=True)


def json_out(value: Any) -> None:
    """Print JSON to stdout. Only ASCII, so that a name that is not UTF-8 survives as escapes."""
    typer.echo(json.dumps(value, ensure_ascii=True, indent=2, default=_plain))


def paths_out(paths: Iterable[str | os.PathLike[str]], *, null: bool = False) -> None:
    """Print paths to stdout byte by byte as the file system has them, one a line or ended by NUL as `xargs -0` reads them."""
    end = b"\0" if null else b"\n"
    sys.stdout.flush()
    for path in paths:
        sys.stdout.buffer.write(os.fsencode(path) + end)


def table_out(header: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """Print a table to stdout: drawn for a terminal, cells parted by tabs for a pipe.

    Args:
        header: names of the columns.
        rows: cells; taken as plain text.
        right: which columns are numbers and stand to the right.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in [list(header), *cells]:
            typer.echo("\t".join(" ".join(cell.split()) for cell in row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # rich drops colours for NO_COLOR and keeps bold, which is an escape as well
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="" if os.environ.get("NO_COLOR") else "bold")
    for place, name in enumerate(header):
        table.add_column(Text(name), justify="right" if place in right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def size(count: float) -> str:
    """Give a number of bytes as people read it: `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Give a number with its noun: `1 picture`, `2,000 pictures`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # a NumPy number or array
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)
