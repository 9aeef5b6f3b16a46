"""crossbit evaluate: measure a model on a split of a data set, and write a result file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from crossbit.cli.show import json_out, printable, say, table_out
from crossbit.errors import UsageError

if TYPE_CHECKING:
    from crossbit.evaluation import Result

RESULTS = Path("results")


def evaluate(
    model: str = typer.Argument(..., metavar="MODEL", help="The folder of a model, conse, or clip:NAME."),
    data: str = typer.Option(
        "openmoji", "--data", metavar="DATA", help="openmoji, picto, picto-hand, or a path in any format that is read."
    ),
    split: str = typer.Option("test", "--split", metavar="NAME", help="Which items ask."),
    languages: str = typer.Option(None, "--languages", metavar="en,de,...", help="Languages to ask in; else all."),
    by: Literal["embedding", "code", "asymmetric", "score"] = typer.Option(
        "embedding", "--by", metavar="embedding|code|asymmetric|score", help="What is compared."
    ),
    bits: int = typer.Option(
        None, "--bits", min=1, metavar="N", help="Compare the first N bits of a nested code; else all of them."
    ),
    protocol: str = typer.Option(
        "concept-retrieval", "--protocol", metavar="NAME", help="Who is searched, what counts."
    ),
    system: str = typer.Option(
        None, "--system", metavar="NAME", help="What `compare` calls it; else the model's name."
    ),
    output: Path = typer.Option(
        RESULTS, "--output", "-o", metavar="PLACE", help="A folder, or a file ending in .json."
    ),
    batch_size: int = typer.Option(32, "--batch-size", min=1, metavar="N", help="Media that are encoded at a time."),
    json: bool = typer.Option(False, "--json", help="Print the measures as JSON."),
) -> None:
    """Measure a model by language and direction, and write a result file that can be compared with others."""
    from crossbit.cli.codes import first_bits
    from crossbit.cli.data import open_data
    from crossbit.evaluation.evaluate import evaluate as measure
    from crossbit.model import Model

    found = Model.from_pretrained(model)
    if bits is not None:
        if by in ("embedding", "score"):
            raise UsageError(f"--bits: {by}s are compared, which have none", "add `--by code`")
        found = first_bits(found, bits)
    result = measure(
        found,
        open_data(data, languages.split(",") if languages else None),
        split=split,
        languages=languages.split(",") if languages else None,
        by=by,
        protocol=protocol,
        system=system,
        batch_size=batch_size,
    )
    file = result.write(output)
    if json:
        json_out({"system": result.system, "file": file, "metrics": result.metrics})
        return
    header, rows = measures(result)
    table_out(header, rows, right=range(1, len(header)))
    say(
        f"{result.system} on {result.data['name']}, split {split}, by {result.protocol['name']}; ties as expected values"
    )
    say(f"result: {printable(file)}")


def measures(result: Result) -> tuple[list[str], list[list[str]]]:
    """Lay the headline measures out by language: R@K both ways and rsum, or MAP."""
    from crossbit.evaluation.measure import CUTS, DIRECTIONS

    recall = result.protocol["family"] == "recall"
    names = [f"recall_at_{k}" for k in CUTS] if recall else ["map_all"]
    label = {"image_to_text": "i2t", "text_to_image": "t2i"}
    shown = {**{f"recall_at_{k}": f"R@{k}" for k in CUTS}, "map_all": "MAP"}
    cells = [(side, name, f"{label[side]} {shown[name]}") for side in DIRECTIONS for name in names]
    cells.append(("both", "rsum", "rsum") if recall else ("both", "map_all", "mean MAP"))
    metrics: dict[str, Any] = dict(result.metrics)
    rows = [[language, *(f"{sides[side][name]:.1f}" for side, name, _ in cells)] for language, sides in metrics.items()]
    return ["language", *(head for _, _, head in cells)], rows
