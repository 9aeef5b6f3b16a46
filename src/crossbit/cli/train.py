"""crossbit train: from a method, data and settings to a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from crossbit.cli.show import json_out, printable, say

NAMED = 8
"""How many dead bits are named; the model card has all."""


def train(
    words: list[str] = typer.Argument(
        None, metavar="METHOD KEY=VALUE", help="A method, and settings such as epochs=5."
    ),
    config: Path = typer.Option(
        None, "--config", metavar="FILE", help="A YAML file with what differs from the defaults."
    ),
    data: str = typer.Option(
        None,
        "--data",
        metavar="DATA",
        help="openmoji (the default), picto, picto-hand, or a path in any format that is read.",
    ),
    languages: str = typer.Option(None, "--languages", metavar="en,de,...", help="Languages to train on; else all."),
    licences: str = typer.Option(
        None, "--licences", metavar="CLASS,...", help="Learn from items of these: permissive, share-alike, copyleft."
    ),
    noise: Path = typer.Option(
        None, "--noise", metavar="FILE", help="Wrong captions to train on, made by `data noise`."
    ),
    output: Path = typer.Option(None, "--output", "-o", metavar="FOLDER", help="Where the run goes; else below runs/."),
    seed: int = typer.Option(None, "--seed", metavar="N", help="Seed of everything; 0 by default."),
    resume: bool = typer.Option(False, "--resume", help="Go on after the last whole epoch, to the very same weights."),
    json: bool = typer.Option(False, "--json", help="Print the outcome as JSON."),
) -> None:
    """Train a method and write a model folder; KEY=VALUE sets any setting of the method or of the loop.

    `crossbit train base` makes the heads of the default model again, from what picto holds of permissively licensed parts.
    `crossbit train encoder kind=vit` (or kind=resnet) makes a small image encoder, taught by the packaged one.
    """
    if words == ["base"]:
        from crossbit.cli.base import run as train_base

        typer.echo(printable(train_base(output, seed)))
        return
    if words and words[0] == "encoder":
        from crossbit.cli.encoder import run as train_encoder

        made = train_encoder(words[1:], output, seed, resume=resume)
        json_out(made) if json else typer.echo(printable(made["name"]))
        return
    from crossbit.cli.data import open_data
    from crossbit.cli.fit import default_encoders, fit
    from crossbit.cli.run import FILE, check_folder, noise_of, read_run, resolve_run, resolved
    from crossbit.config import write_resolved
    from crossbit.data.picto.licences import of_licence

    flags = {"data": data, "languages": languages.split(",") if languages else None, "seed": seed}
    flags["licences"] = licences.split(",") if licences else None
    flags["noise"] = str(noise) if noise else None
    run = read_run(config, words or (), {name: value for name, value in flags.items() if value is not None})
    run, wrong = noise_of(run)
    method, loop = resolve_run(run)
    manifest = open_data(run.data, run.languages)
    encoders = default_encoders(run.method, manifest) | dict(run.encoders)
    if run.licences:
        manifest = of_licence(manifest, *run.licences)
    folder = output or Path("runs") / f"{run.method.rpartition(':')[2]}-{manifest.name}-{run.seed}"
    settings = resolved(run, method, loop, encoders)
    check_folder(folder, settings, resume=resume)
    write_resolved(folder / FILE, settings)
    say(f"run: {printable(folder)}")
    done = fit(
        run.method,
        manifest,
        folder,
        method_config=method,
        encoders=encoders,
        languages=run.languages,
        training=loop,
        strategy=run.strategy,
        strategy_config=run.strategy_config,
        noise=wrong,
        resume=resume,
    )
    outcome = {
        "model": done.folder / "model",
        "best_epoch": done.report.best_epoch + 1,
        "epochs": done.report.epochs,
        "validation_rsum": round(done.report.best_rsum, 2),
        "stopped_early": done.report.stopped_early,
        "collapsed": done.report.collapsed,
        "bits": done.report.bits,
    }
    if json:
        json_out(outcome)
    else:
        typer.echo(
            f"{printable(done.folder / 'model')}: epoch {outcome['best_epoch']} of {outcome['epochs']} is the best, "
            f"rsum {outcome['validation_rsum']} on the validation split"
        )
        if done.report.bits:
            say(describe_bits(done.report.bits))


def describe_bits(bits: Mapping[str, Any]) -> str:
    """Say in a line how good the bits of a code are: dead ones by number, balance, correlation, what rounding will cost."""
    dead = list(bits["dead_bits"])
    named = ", ".join(map(str, dead[:NAMED])) + (f" and {len(dead) - NAMED} more" if len(dead) > NAMED else "")
    return (
        f"bits: {f'{len(dead)} dead ({named})' if dead else 'none dead'}, mean {bits['mean_bit']:.2f} from balance, "
        f"correlation {bits['bit_correlation']:.3f}, mean value {bits['mean_value']:.2f} of 1 before rounding"
    )
