"""Write docs/reference/cli.md from the commands themselves: `python -m crossbit.cli.reference docs/reference/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

HEAD = """# Command line

<!-- written by `python -m crossbit.cli.reference docs/reference/cli.md` (make docs); do not edit by hand -->

Results go to stdout, progress and remarks to stderr; `--json` gives results as JSON wherever they are printed. A table is drawn
for a terminal and parted by tabs for a pipe. `NO_COLOR` is respected. An error is one sentence on stderr, mostly with a hint
what to do; `--debug`, anywhere on the line, or `CROSSBIT_DEBUG=1` shows its trace. `crossbit --install-completion` lets the
shell complete commands and options.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | nothing was found, or a comparison failed |
| 2 | wrong use: an option, a setting, a query that cannot be used |
| 3 | data at fault: a file, a model or a collection, or a full disk |
| 4 | internal |
| 130 | interrupted |
"""


def reference() -> str:
    """Give the page: every command with its help, arguments and options."""
    from crossbit.cli.main import app

    return HEAD + "".join(_command("crossbit", command) for command in _leaves(get_command(app)))


def commands() -> dict[str, Any]:
    """Give every command by its full name, such as `crossbit collection info`."""
    from crossbit.cli.main import app

    return {" ".join(("crossbit", *path)): command for path, command in _leaves(get_command(app))}


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if (inner := getattr(command, "commands", None)) is None:
        yield path, command
    else:
        for name, child in inner.items():
            yield from _leaves(child, (*path, name))


def _command(root: str, leaf: tuple[tuple[str, ...], Any]) -> str:
    path, command = leaf
    name = " ".join((root, *path))
    parameters = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    options = [p for p in parameters if p.param_type_name == "option"]
    usage = " ".join([name, *["[OPTIONS]"] * bool(options), *map(_argument, arguments)])
    lines = [f"\n## {name}\n", f"{_line(command.help)}\n", f"    {usage}\n"]
    if arguments:
        lines.append("| argument | meaning |\n|---|---|")
        lines += [f"| `{_cell(_argument(p))}` | {_cell(p.help)} |" for p in arguments] + [""]
    if options:
        lines.append("| option | default | meaning |\n|---|---|---|")
        lines += [f"| {_names(p)} | {_default(p)} | {_cell(p.help)} |" for p in options] + [""]
    return "\n".join(lines)


def _names(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    names = sorted(option.opts, key=len)
    return ", ".join(f"`{_cell(name)}`" for name in [*names[:-1], names[-1] + value, *option.secondary_opts])


def _argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs != 1 else "")


def _default(option: Any) -> str:
    value = option.default
    return "" if value is None or value is False or value == [] or callable(value) else f"`{_cell(value)}`"


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: object) -> str:
    return _line(str(text or "")).replace("|", "\\|") if text != 0 else "0"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
    else:
        sys.stdout.write(reference())
