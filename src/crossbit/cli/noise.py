"""crossbit data noise: make training captions wrong on purpose, and write down which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from crossbit.cli.show import counted, json_out, printable, say, table_out


def noise(
    data: str = typer.Argument("openmoji", metavar="DATA", help="A data set by name, or a manifest."),
    kind: str = typer.Option(
        "complete", "--kind", metavar="complete|partial", help="Captions that are wrong, or half right."
    ),
    ratio: float = typer.Option(0.4, "--ratio", metavar="SHARE", help="Share of the units that is exchanged."),
    unit: str = typer.Option(
        None, "--unit", metavar="caption|image", help="Exchange single captions, or all of an image together."
    ),
    seed: int = typer.Option(0, "--seed", metavar="N", help="Seed of everything drawn."),
    generator: str = typer.Option(
        None,
        "--generator",
        metavar="NAME",
        help="unrelated, ncr or decl; half, subgroup, head-noun or fraction for partial noise.",
    ),
    languages: str = typer.Option(
        None, "--languages", metavar="en,de,...", help="Captions that may be exchanged; else all."
    ),
    output: Path = typer.Option(
        None, "--output", "-o", metavar="FILE", help="Ends in .json or .parquet; else a name is made here."
    ),
    json: bool = typer.Option(False, "--json", help="Print what was made as JSON."),
) -> None:
    """Make a share of the training captions wrong and write a noise file, which `crossbit train --noise` reads."""
    from crossbit.cli.data import open_data
    from crossbit.data.noise import make_noise
    from crossbit.data.noise_file import write_noise

    wanted: Any = {"kind": kind, "unit": unit}
    spoken = languages.split(",") if languages else None
    made = make_noise(
        open_data(data, spoken),
        ratio=ratio,
        seed=seed,
        generator=generator,
        languages=spoken,
        **wanted,
    )
    file = write_noise(made, output or Path(f"noise-{made.data}-{made.generator}-{made.ratio:g}-seed{seed}.json"))
    if json:
        json_out({**made.summary, "file": file})
        return
    rows = [(name, str(value)) for name, value in made.summary.items() if name not in ("languages", "data")]
    table_out(("fact", "value"), rows)
    say(
        f"noise: {printable(file)}, {counted(sum(p.kind != 'same' for p in made.pairs), 'wrong pair')} of "
        f"{made.captions:,} in {made.data!r}"
    )
    reached = made.realised_images if made.unit == "image" else made.realised
    if abs(reached - made.ratio) > 0.005:
        say(f"note: {reached:.1%} of the {made.unit}s are wrong, {made.ratio:.1%} were asked for")
