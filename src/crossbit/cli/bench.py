"""crossbit bench: measure what a paper claims, on data that every machine can get."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Measure what a paper claims.")


@app.callback()
def _group() -> None: ...
