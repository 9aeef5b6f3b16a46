"""crossbit bench: measure what a paper claims."""

from __future__ import annotations

import json as json_
from pathlib import Path

import typer

from crossbit.cli.show import json_out, printable, say, table_out

app = typer.Typer(no_args_is_help=True, help="Measure what a paper claims.")


@app.callback()
def _group() -> None:
    pass


@app.command()
def claims(
    system: str = typer.Option(..., "--system", metavar="NAME", help="The key of a method, such as fgcmh."),
    seeds: str = typer.Option("0,1,2", "--seeds", metavar="0,1,2", help="Seeds to train with."),
    runs: Path = typer.Option(Path("runs"), "--runs", metavar="FOLDER", help="Where trained models are kept."),
    results: Path = typer.Option(Path("results"), "--results", metavar="FOLDER", help="Where result files go."),
    json: bool = typer.Option(False, "--json", help="Print the claim file."),
) -> None:
    """Train and measure what the claims of a system compare, and write its claim file; what was measured is kept."""
    from crossbit.cli.claims import bench_claims

    numbers = [_seed(word) for word in seeds.split(",") if word.strip()]
    path = bench_claims(system, numbers, runs, results)
    record = json_.loads(path.read_text(encoding="utf-8"))
    if json:
        json_out(record)
        return
    rows = []
    for check in record["checks"]:
        low, high = check["ci95"]
        spread = f"{check['difference']:+.1f} [{low:+.1f}, {high:+.1f}]"
        rows.append((check["claim"], spread, f"{check['p_value']:.4f}", check["verdict"]))
    table_out(("claim", "difference, 95 % interval", "p", "verdict"), rows)
    say(f"claims: {printable(path)}")


def _seed(word: str) -> int:
    from crossbit.errors import UsageError

    if not word.strip().isdigit():
        raise UsageError(f"--seeds: {word!r} is not a whole number", "write them like 0,1,2")
    return int(word)
