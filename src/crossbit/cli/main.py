"""The command line: the list of verbs, and where every error ends.

A verb's file reads its arguments, calls one library function and prints. Exit codes: 0 done, 1 nothing found or a comparison
that failed, 2 wrong use, 3 data at fault, 4 internal, 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from crossbit import __version__
from crossbit.cli import care, duplicates, engine, exchange  # noqa: F401 - further verbs of `collection`
from crossbit.cli.audit import audit
from crossbit.cli.bench import app as bench
from crossbit.cli.codes import codes
from crossbit.cli.collection import app as collection
from crossbit.cli.compare import compare
from crossbit.cli.data import app as data
from crossbit.cli.demo import demo
from crossbit.cli.doctor import doctor
from crossbit.cli.embed import embed
from crossbit.cli.evaluate import evaluate
from crossbit.cli.faults import BROKEN_PIPE, INTERRUPTED, explain, how_to_go_on
from crossbit.cli.index import index
from crossbit.cli.methods import methods
from crossbit.cli.search import search
from crossbit.cli.show import say
from crossbit.cli.train import train


class Verbs(TyperGroup):
    """The group of verbs: takes `--debug` from any place of the line and turns errors into sentences."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--debug` out wherever it stands before a `--`, because one adds it to the line that just failed."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta["crossbit.debug"] = "--debug" in args[:end] or os.environ.get("CROSSBIT_DEBUG", "0") not in ("", "0")
        return super().parse_args(ctx, [word for word in args[:end] if word != "--debug"] + args[end:])

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; say on stderr what went wrong and leave with the error's exit code."""
        _listen()
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _remark
                result = super().invoke(ctx)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:
            # the reader of the pipe went away; without this the interpreter complains when it flushes at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except KeyboardInterrupt:
            say(f"\ninterrupted: {how_to_go_on(ctx.invoked_subcommand)}")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if hasattr(error, "format_message"):  # wrong use of the line, which typer words and prints itself
                raise
            if ctx.meta["crossbit.debug"]:
                say(traceback.format_exc())
            message, hint, code = explain(error)
            say(message + (f"\n\nhint: {hint}" if hint else ""))
            raise typer.Exit(code) from error
        return result


def _remark(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Print a warning of ours as a remark; what other packages warn of is for `python -W` and the tests."""
    if Path(filename).is_relative_to(Path(__file__).parents[1]):
        say(f"note: {message}")


class _Remarks(logging.Handler):
    """Prints what the library logs as a warning, such as a query that was cut, as a remark on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"note: {record.getMessage()}")


def _listen() -> None:
    log = logging.getLogger("crossbit")
    if not any(isinstance(handler, _Remarks) for handler in log.handlers):
        log.addHandler(_Remarks(logging.WARNING))


app = typer.Typer(
    name="crossbit",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Search pictures by words in any language; train, measure and compare the methods behind it.",
    epilog="Results go to stdout, progress to stderr. Exit codes: 0 done, 1 nothing found, 2 wrong use, 3 data at fault, "
    "4 internal, 130 interrupted.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crossbit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", help="Show the trace of an error; may stand anywhere on the line."),
) -> None:
    pass


_SEARCH, _LEARN, _CARE = "Search", "Train and measure", "Data and care"
app.command(rich_help_panel=_SEARCH)(index)
app.command(rich_help_panel=_SEARCH)(search)
app.command(rich_help_panel=_SEARCH)(embed)
app.add_typer(collection, name="collection", rich_help_panel=_SEARCH)
app.command(rich_help_panel=_SEARCH)(demo)
app.command(rich_help_panel=_LEARN)(train)
app.command(rich_help_panel=_LEARN)(evaluate)
app.command(rich_help_panel=_LEARN)(compare)
app.command(rich_help_panel=_LEARN)(codes)
app.command(rich_help_panel=_LEARN)(methods)
app.add_typer(bench, name="bench", rich_help_panel=_LEARN)
app.add_typer(data, name="data", rich_help_panel=_CARE)
app.command(rich_help_panel=_CARE)(audit)
app.command(rich_help_panel=_CARE)(doctor)


def main() -> None:
    """Run the command line: the entry point of the installed program."""
    app()


if __name__ == "__main__":
    main()
