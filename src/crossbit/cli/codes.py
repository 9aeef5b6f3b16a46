"""crossbit codes: give a dense model codes after its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from crossbit.cli.show import json_out, printable, say

if TYPE_CHECKING:
    from crossbit.data.manifest import Manifest
    from crossbit.model import Model


def codes(
    model: str = typer.Argument(..., metavar="MODEL", help="The folder of a model that embeds, conse, or clip:NAME."),
    bits: int = typer.Option(128, "--bits", min=1, max=8192, metavar="N", help="Length of the codes."),
    by: Literal["itq", "sign", "random"] = typer.Option(
        "itq", "--by", metavar="itq|sign|random", help="How the embedding becomes bits."
    ),
    data: str = typer.Option(
        None, "--data", metavar="DATA", help="Its split `train` is looked at; else what the model was trained on."
    ),
    languages: str = typer.Option(None, "--languages", metavar="en,de,...", help="Captions to look at; else its own."),
    seed: int = typer.Option(0, "--seed", metavar="N", help="Of rotations and random directions."),
    output: Path = typer.Option(
        None, "--output", "-o", metavar="FOLDER", help="Where the model goes; else beside the old one."
    ),
    json: bool = typer.Option(False, "--json", help="Print the outcome as JSON."),
) -> None:
    """Give a dense model codes, in a new model folder that `index`, `evaluate --by code` and collections take."""
    from crossbit.cli.data import open_data
    from crossbit.errors import UsageError
    from crossbit.model import Model

    found = Model.from_pretrained(model)
    known = found.card.training
    name = data or known.get("data")
    spoken = languages.split(",") if languages else known.get("languages")
    if by != "sign" and not name:
        raise UsageError(f"codes: the card of `{found.name}` names no training data", "name some with `--data`")
    manifest = open_data(str(name), spoken).select("train", spoken) if by != "sign" else None
    place = output or _beside(model, f"{by}-{bits}bit")
    made = codes_afterwards(found, manifest, bits, by, seed).save_pretrained(place)
    outcome = {"model": made, "bits": bits, "by": by, "data": manifest.name if manifest else None}
    if json:
        json_out(outcome)
        return
    typer.echo(f"{printable(made)}: {bits} bits by {by}" + (f", fitted to {manifest.name}" if manifest else ""))
    say("use it like any model: `crossbit evaluate MODEL --by code`, `crossbit index FOLDER --model MODEL`")


def codes_afterwards(
    model: Model, train: Manifest | None, bits: int, by: Literal["itq", "sign", "random"], seed: int = 0
) -> Model:
    """Give a model with codes fitted to its embeddings of training pictures and captions.

    Args:
        model: that embeds.
        train: pictures with captions; None where the way looks at none.
        bits: K.
        by: "itq", "sign" or "random".
        seed: of rotations and random directions.

    Raises:
        AbilityError: the model has no embedding.
        ConfigError: the way cannot give so many bits.
    """
    from crossbit.errors import AbilityError
    from crossbit.training.afterwards import fit_codes

    if not model.dim:
        raise AbilityError(f"model `{model.name}` has no embedding, so no codes can be made from it")
    import numpy as np

    rows: Mapping[str, np.ndarray]
    if train is None:
        rows = {view: np.zeros((1, model.dim), np.float32) for view in model.views}
    else:
        from crossbit.evaluation.evaluate import through_cache

        encode = through_cache(model, progress=True)
        texts = [caption.text for item in train for caption in item.captions]
        rows = {
            "image": encode("image", [train.file(item) for item in train]).embedding,
            "text": encode("text", texts).embedding,
        }
    about = {} if train is None else {"data": train.name, "data_fingerprint": train.fingerprint}
    return model.with_codes(fit_codes(rows, bits, by, seed=seed), by, seed=seed, **about)


def first_bits(model: Model, bits: int) -> Model:
    """Give a model cut to the first bits of its code, and say so where the code was not trained for that.

    Raises:
        AbilityError: the model has no such code.
    """
    cut = model.with_bits(bits)
    if cut is not model and not model.nests(bits):
        say(f"note: `{model.name}` was not trained with nested codes; {bits} bits trained at that length are better")
    return cut


def _beside(model: str, suffix: str) -> Path:
    path = Path(model)
    if (path / "config.json").is_file():
        path = path.resolve()
        return path.with_name(f"{path.name}-{suffix}")
    return Path("runs") / f"{model.replace(':', '-').replace('/', '-')}-{suffix}"
