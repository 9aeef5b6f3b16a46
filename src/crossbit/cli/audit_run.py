"""audit: features, cross-fitted models, ranked pairs and the review page joined into one function."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from crossbit.cli.show import counted, printable, say
from crossbit.data.manifest import Manifest
from crossbit.errors import ConfigError, DataError, ManifestError
from crossbit.evaluation.suspects import PAIRS, Suspect, read_suspects, write_suspects

if TYPE_CHECKING:
    from crossbit.data.loader import Pairs
    from crossbit.training.crossfit import CrossfitConfig, Judged

SETTINGS = "settings.json"
_FIELDS = ("rows", "alike", "caption", "item")


def auditable(manifest: Manifest) -> Manifest:
    """Keep the pictures that have a caption, and say what is left out.

    Raises:
        ManifestError: none is left.
    """
    kept = tuple(item for item in manifest if item.modality == "image" and item.captions)
    if not kept:
        raise ManifestError(f"{manifest.name}: no picture with a caption, expected pairs of picture and text")
    if missing := len(manifest) - len(kept):
        say(
            f"note: {counted(missing, 'item')} of {manifest.name} are no pictures or have no caption, and are not judged"
        )
    return Manifest(manifest.name, manifest.root, kept)


def besides(judged: Manifest, data: Manifest) -> Manifest:
    """Keep of other data what is not judged itself, known by its files, and say how much that is.

    Raises:
        ManifestError: nothing is left to learn from.
    """
    files = {judged.file(item).resolve() for item in judged}
    other = auditable(data)
    kept = tuple(item for item in other if other.file(item).resolve() not in files)
    if not kept:
        raise ManifestError(f"{data.name}: holds nothing but pictures that are judged, expected others to learn from")
    if same := len(other) - len(kept):
        say(f"note: {counted(same, 'item')} of {data.name} are judged, and not learnt from beside")
    return Manifest(data.name, data.root, kept)


def audit(
    manifest: Manifest,
    folder: Path,
    config: CrossfitConfig,
    *,
    others: Manifest | None = None,
    progress: bool = True,
) -> list[Suspect]:
    """Judge every pair of a data set, most suspicious first; what an interrupted audit has done is kept.

    Args:
        manifest: pictures with captions, as `auditable` gives them.
        folder: of the audit.
        config: settings of cross-fitting.
        others: pictures with captions that the models learn from as well, as `besides` gives them.
        progress: show bars.

    Raises:
        ConfigError: the folder holds an audit of other data or with other settings, or something else.
        ManifestError: there are too few pairs or concepts.
        MediaError: a picture cannot be read.
    """
    from crossbit.cli.fit import default_encoders, pairs_of
    from crossbit.training.crossfit import BESIDE, beside, fingerprint, folds_of, posterior
    from crossbit.training.likeness import has_part

    encoders = default_encoders("vsepp")
    pairs = pairs_of(manifest, encoders, progress=progress)
    mark = fingerprint(pairs)
    learnt = None if others is None else pairs_of(others, encoders, progress=progress)
    known = {"data": manifest.name, "fingerprint": mark, "config": asdict(config), "encoders": encoders}
    beside_it = None if learnt is None or others is None else {"data": others.name, "fingerprint": fingerprint(learnt)}
    _claim(folder, {**known, "learns_from": beside_it})
    if (folder / PAIRS).is_file():
        return read_suspects(folder)
    fold_of, seen = folds_of(pairs, config), pairs
    if learnt is not None and others is not None:
        names = [item.concept or item.id for item in (*manifest, *others)]
        seen = beside(pairs, learnt, names)
        fold_of = np.concatenate([fold_of, np.full(len(others), BESIDE)])
    parts = [
        _fold(seen, fold_of, fold, config, folder)
        for fold in tqdm(range(config.folds), desc="audit", unit="fold", disable=None if progress else True)
    ]
    rows = np.concatenate([part.rows for part in parts])
    alike = np.concatenate([part.alike for part in parts])
    probability = posterior(alike)
    better = [np.concatenate([getattr(part, name) for part in parts]) for name in ("caption", "item")]
    keys, part = _keys(manifest), np.zeros(len(rows), bool)
    doubted = np.flatnonzero(probability > 0.5)
    part[doubted] = has_part(pairs, rows[doubted], better[0][doubted], better[1][doubted])
    suspects = [
        _suspect(
            manifest, pairs, keys, int(rows[k]), float(probability[k]), bool(part[k]), *(int(b[k]) for b in better)
        )
        for k in np.lexsort((rows, -alike, -probability))
    ]
    write_suspects(suspects, folder)
    return suspects


def fingerprint_in(folder: Path) -> str:
    """Give the fingerprint of the audit in a folder.

    Raises:
        DataError: there is none.
    """
    try:
        found: str = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: no audit, expected {SETTINGS} in it", "run `crossbit audit DATA` first") from error
    return found


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    path = folder / SETTINGS
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path}: damaged ({error})", "delete the folder and audit again") from error
        differing = sorted(key for key in settings if before.get(key) != settings[key])
        if differing:
            raise ConfigError(
                f"{printable(folder)}: holds an audit with another {', '.join(differing)}, expected the same to go on",
                "name another folder with --output, or delete this one",
            )
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{printable(folder)}: holds other files, expected an empty folder or an audit")
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _fold(pairs: Pairs, fold_of: np.ndarray, fold: int, config: CrossfitConfig, folder: Path) -> Judged:
    """Give what the model of a fold says, from the disk where it has been judged before."""
    import shutil

    from crossbit.training import crossfit

    path = folder / f"fold-{fold}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as kept:
                return crossfit.Judged(*(kept[name] for name in _FIELDS))
        except (OSError, ValueError, KeyError, EOFError) as error:
            say(f"note: {printable(path)} is damaged ({type(error).__name__}) and its fold is judged again")
    run = folder / f"fold-{fold}"
    judged = crossfit.judge_fold(pairs, fold_of, fold, config, run)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **{name: getattr(judged, name) for name in _FIELDS})
    partial.replace(path)
    shutil.rmtree(run)
    return judged


def _keys(manifest: Manifest) -> list[tuple[int, int]]:
    """Give, for each caption row, the item's row and the caption's place within its language."""
    from crossbit.data.noise_pairs import places

    return [(row, place) for row, item in enumerate(manifest) for place, _ in places(item)]


def _suspect(
    manifest: Manifest,
    pairs: Pairs,
    keys: list[tuple[int, int]],
    row: int,
    probability: float,
    part: bool,
    caption: int,
    item: int,
) -> Suspect:
    own, place = keys[row]
    here, there = manifest.items[own], manifest.items[item] if item >= 0 else None
    return Suspect(
        here.id,
        here.path,
        pairs.languages[row],
        place,
        pairs.texts[row],
        round(probability, 4),
        "" if probability <= 0.5 else "partial" if part else "complete",
        pairs.texts[caption] if caption >= 0 else "",
        there.id if there else "",
        there.path if there else "",
    )
