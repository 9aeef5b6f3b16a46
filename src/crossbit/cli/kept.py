"""What benches keep on the disk, so that an interrupted one goes on: results that still stand, and models with their cost."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossbit.evaluation.result import Result
    from crossbit.model import Model


def kept(place: Path, stands: Callable[[Result], bool]) -> Result | None:
    """Give the result of a file; one that does not stand any more is deleted, to be measured anew.

    Args:
        place: of the file, which need not be there.
        stands: says whether a result was made on the present data with the present settings.
    """
    from crossbit.evaluation.result import Result

    if not place.is_file():
        return None
    found = Result.read(place)
    if stands(found):
        return found
    place.unlink()
    return None


def by_mark(place: Path, mark: str) -> Result | None:
    """Give the result of a file where it carries this mark, which is a hash of all that the run depends on."""
    return kept(place, lambda found: found.config.get("run") == mark)


def trained(
    method: str, manifest: Any, folder: Path, *, config: Any, loop: Any, **options: Any
) -> tuple[Model, dict[str, float]]:
    """Give a trained model and what its training cost, from the disk where it is there; an interrupted training goes on.

    Args:
        method: its key.
        manifest: to learn from.
        folder: named after all that the training depends on.
        config: settings of the method.
        loop: settings of the loop.
        options: of `fit`.
    """
    from crossbit.cli.fit import fit
    from crossbit.model import Model
    from crossbit.modelcard import readable

    cost = folder / "cost.json"
    if cost.is_file() and readable(folder / "model") is not None:
        return Model.load(folder / "model"), json.loads(cost.read_text(encoding="utf-8"))
    began = time.monotonic()
    fitted = fit(method, manifest, folder, method_config=config, training=loop, resume=True, progress=False, **options)
    drop_checkpoints(folder)
    spent = {"cpu_seconds": round(fitted.cpu_seconds, 2), "seconds": round(time.monotonic() - began, 2)}
    cost.write_text(json.dumps(spent), encoding="utf-8")
    return fitted.model, spent


def drop_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a training that is over."""
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def plain(config: Mapping[str, Any]) -> Any:
    """Give settings as they come back from a JSON file."""
    return json.loads(json.dumps(config))
