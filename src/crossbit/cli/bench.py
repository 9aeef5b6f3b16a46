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


@app.command()
def noise(
    methods: str = typer.Option("fgcmh,vsepp", "--methods", metavar="NAME,...", help="Methods to train."),
    data: str = typer.Option("picto-hand", "--data", metavar="DATA", help="What to train and measure on."),
    languages: str = typer.Option("en", "--languages", metavar="en,de,...", help="Languages of the captions."),
    seeds: str = typer.Option("0,1,2", "--seeds", metavar="0,1,2", help="Seeds of noise and training."),
    ratios: str = typer.Option("0,0.2,0.4,0.6,0.8", "--ratios", metavar="0,0.2,...", help="Shares of wrong captions."),
    kinds: str = typer.Option(
        "complete,partial", "--kinds", metavar="KIND,...", help="Kinds of noise, or KIND:GENERATOR."
    ),
    epochs: int = typer.Option(
        None, "--epochs", min=1, metavar="N", help="Epochs of every run; else the method's own."
    ),
    runs: Path = typer.Option(Path("runs"), "--runs", metavar="FOLDER", help="Where trained models are kept."),
    results: Path = typer.Option(
        Path("results/picto-noise"), "--results", metavar="FOLDER", help="Where result files go."
    ),
    plot: Path = typer.Option(
        None, "--plot", metavar="STEM", help="Also draw STEM.png and STEM.svg of all results there."
    ),
    json: bool = typer.Option(False, "--json", help="Print the points of the curves."),
) -> None:
    """Train on data of which a known share is wrong, and measure on clean data; what was measured is kept."""
    from dataclasses import asdict

    from crossbit.cli.noise_bench import NoiseBench, bench_noise, wanted
    from crossbit.evaluation.compare import plot_curves
    from crossbit.evaluation.curves import curve_table, points, read_points

    asked = list(
        wanted(_words(methods), _words(kinds), [_share(r) for r in _words(ratios)], [_seed(s) for s in _words(seeds)])
    )
    bench = NoiseBench(data, _words(languages), runs, results, changes={"epochs": epochs} if epochs else {})
    found = points(bench_noise(bench, asked))
    if plot is not None:
        for path in plot_curves(read_points(results), plot):
            say(f"plot: {printable(path)}")
    if json:
        json_out([asdict(point) for point in found])
    else:
        typer.echo(curve_table(found), nl=False)


@app.command()
def hashing(
    systems: str = typer.Option(None, "--systems", metavar="NAME,...", help="Ways to codes; all by default."),
    data: str = typer.Option("picto,openmoji", "--data", metavar="DATA,...", help="What to train and measure on."),
    bits: str = typer.Option("16,32,64,128,256,512,1024", "--bits", metavar="N,...", help="Lengths of codes."),
    seeds: str = typer.Option("0,1,2", "--seeds", metavar="0,1,2", help="Seeds of training."),
    tracks: str = typer.Option(
        "captions,labels", "--tracks", metavar="NAME,...", help="Caption retrieval; a common label is relevant."
    ),
    epochs: int = typer.Option(None, "--epochs", min=1, metavar="N", help="Of every run; else the bench's own."),
    runs: Path = typer.Option(Path("runs"), "--runs", metavar="FOLDER", help="Where models are trained."),
    results: Path = typer.Option(
        Path("results"), "--results", metavar="FOLDER", help="Result files go to DATA-hashing below it."
    ),
    keep: bool = typer.Option(False, "--keep", help="Keep every trained model."),
    speed: bool = typer.Option(False, "--speed", help="Time scans of codes at every length, and train nothing."),
    page: Path = typer.Option(
        None, "--page", metavar="FILE", help="Write the tables of all results between its marks."
    ),
    plot: Path = typer.Option(
        None, "--plot", metavar="STEM", help="Draw STEM.png, STEM.svg and STEM-curves of all results there."
    ),
    page_only: bool = typer.Option(False, "--page-only", help="Measure nothing, write page and plot."),
    json: bool = typer.Option(False, "--json", help="Print the points of all results there as JSON."),
) -> None:
    """Train and measure every way to codes at every length, on caption retrieval and on labels; what was measured is kept."""
    from crossbit.cli.hashing_bench import HashingBench, bench_hashing
    from crossbit.cli.hashing_report import report
    from crossbit.cli.hashing_speed import write_speed
    from crossbit.cli.hashing_systems import SYSTEMS, wanted
    from crossbit.evaluation.hashing_page import SPEED

    lengths = [_count("--bits", word) for word in _words(bits)]
    asked = list(
        wanted(
            _words(systems) if systems else list(SYSTEMS), lengths, [_seed(s) for s in _words(seeds)], _words(tracks)
        )
    )
    if speed:
        say(f"timings: {printable(write_speed(results / SPEED, lengths))}")
    elif not page_only:
        for name in _words(data):
            longest, changes = max(lengths), {"epochs": epochs} if epochs else {}
            place = results / f"{Path(name).stem}-hashing"
            bench_hashing(HashingBench(name, longest, runs, place, changes=changes, keep=keep), asked)
    made = report([results / f"{Path(name).stem}-hashing" for name in _words(data)], results / SPEED, page, plot)
    for path in made.drawn:
        say(f"plot: {printable(path)}")
    if json:
        json_out([point.summary for point in made.points])
    else:
        typer.echo(made.text, nl=False)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _share(word: str) -> float:
    from crossbit.errors import UsageError

    try:
        return float(word)
    except ValueError:
        raise UsageError(f"--ratios: {word!r} is not a number", "write them like 0,0.2,0.4") from None


def _count(option: str, word: str) -> int:
    from crossbit.errors import UsageError

    if not word.isdigit():
        raise UsageError(f"{option}: {word!r} is not a whole number", "write them like 16,32,64")
    return int(word)


def _seed(word: str) -> int:
    from crossbit.errors import UsageError

    if not word.strip().isdigit():
        raise UsageError(f"--seeds: {word!r} is not a whole number", "write them like 0,1,2")
    return int(word)
