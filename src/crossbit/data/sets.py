"""Where a data set is found: packaged ones by name, others by path in any format that is read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from crossbit.data.manifest import Manifest
from crossbit.data.manifest_arrow import read_items
from crossbit.data.packaged import DRAWINGS, HAND, NAME
from crossbit.errors import ManifestError

log = logging.getLogger(__name__)


def open_set(dataset: Manifest | Path | str, languages: Iterable[str] | None = None) -> Manifest:
    """Find a data set.

    Args:
        dataset: a manifest; a packaged name: `openmoji`, `openmoji-each`, `picto` (drawings and stamps), `picto-hand` (the
            same, with one drawing set held out as split "hand"), `picto:SOURCE+SOURCE` or `picto:all`; or a path in any
            format that `crossbit.data.formats` reads.
        languages: read captions in these only, where the data set can be read in part; it may hold others as well
            otherwise.

    Raises:
        ManifestError: there is none; the message says where was looked.
    """
    if isinstance(dataset, Manifest):
        return dataset
    path = Path(dataset)
    match = NAME.fullmatch(str(dataset))
    if match is not None and not path.exists():
        name, sources = match[1], match[2].split("+") if match[2] else ()
        return _picto(name, sources, languages) if name.startswith("picto") else _openmoji(name, sources)
    return _file(path, languages)


def _openmoji(name: str, sources: Sequence[str]) -> Manifest:
    from crossbit.data.picto.openmoji import prepare

    if sources:
        raise ManifestError(f"{name}: has one source, found {'+'.join(sources)!r} after it", f"write `{name}`")
    return prepare(families=name == "openmoji")


def _picto(name: str, sources: Sequence[str], languages: Iterable[str] | None) -> Manifest:
    from crossbit.data.picto.assemble import prepared

    path, langs = prepared(), None if languages is None else list(languages)
    wanted = list(sources) or [*DRAWINGS, "stamps"]
    if "all" in wanted:
        found = Manifest.read(path, languages=langs)
    elif sources:
        found = Manifest.read(path, languages=langs, sources=wanted)
    else:
        found = Manifest(name, path.parent, tuple(read_items(path, languages=langs, sources=wanted)))
        found = found.select(languages=langs)  # names a language that is not there
        if missing := [source for source in wanted if source not in {item.source for item in found}]:
            log.warning("%s: prepared without %s, so it is not the whole benchmark", name, ", ".join(missing))
    found = replace(found, name=":".join([name, "+".join(sources)]) if sources else name)
    if name == "picto-hand":
        items = tuple(replace(item, split="hand") if item.source == HAND else item for item in found)
        found = replace(found, items=items)
    return found


def _file(path: Path, languages: Iterable[str] | None) -> Manifest:
    from crossbit.data import formats
    from crossbit.data.formats.ondisk import on_disk

    form = _form(path)
    if form == "manifest":
        path = _listing(path) if path.is_dir() else path
        found = Manifest.read(path, languages=languages if path.suffix == ".arrow" else None)
    else:
        found = formats.read(form, path)
    if form == "precomp":  # rows of arrays: there is no medium to take out
        return found
    return on_disk(found, progress=True)


def _form(path: Path) -> str:
    """Tell the format; a folder in which a manifest goes by another name than `manifest` counts as one."""
    from crossbit.data import formats

    try:
        return formats.detect(path)
    except ManifestError:
        if path.is_dir() and _listings(path):
            return "manifest"
        raise


def _listings(folder: Path) -> list[Path]:
    known = [folder / name for name in ("manifest.jsonl", "manifest.arrow") if (folder / name).is_file()]
    return known[:1] or sorted([*folder.glob("*.jsonl"), *folder.glob("*.arrow")])


def _listing(folder: Path) -> Path:
    found = _listings(folder)
    if len(found) > 1:
        raise ManifestError(f"{folder}: {len(found)} manifests, expected one", "name the file itself")
    return found[0]
