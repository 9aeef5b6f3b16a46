"""VATEX: 41,250 clips of ten seconds with ten English and ten Chinese sentences each, in JSON.

Wang and others, "VaTeX: A Large-Scale, High-Quality Multilingual Dataset for Video-and-Language Research", ICCV 2019. A
file is a list of objects with `videoID`, `enCap` and `chCap`; the last five sentences of both languages are
translations of each other. The `videoID` says where the clip begins and ends in its video: `Ptf_2VRj-V0_000122_000132`.

The captions of the private test set are not public. Retrieval papers cut the validation clips in half (1,500 for
validation and 1,500 for test, Chen and others, "Fine-grained Video-Text Retrieval", CVPR 2020); lists of names beside
the files do that here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, Shelf, field, json_of
from crossbit.data.formats.published import Size, check_sizes, in_lists, mind, one_of
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError

SIZES = {
    "train": (Size(25_991, 519_820), Size(25_991, 259_910)),
    "val": (Size(3_000, 60_000), Size(3_000, 30_000), Size(1_500, 30_000), Size(1_500, 15_000)),
    "test": (Size(6_000, 60_000), Size(1_500, 30_000), Size(1_500, 15_000)),
}
"""In both languages or in one; the public test set has English alone."""

_LISTS = {"train": "train_list.txt", "val": "val_list.txt", "test": "test_list.txt"}
_PARTS = {"training": "train", "validation": "val", "public_test": "test"}
_FIELDS = {"en": "enCap", "zh": "chCap"}
_ID = re.compile(r"(?P<video>.{11})_(?P<start>\d{6})_(?P<end>\d{6})")
_TRANSLATED = 5


def read(
    path: Path, notes: Notes, *, languages: str = "both", counts: bool = True, media: Path | None = None
) -> Manifest:
    """Read the annotations.

    Args:
        path: the folder of the `vatex_*.json` files, or one of them.
        notes: takes the problems.
        languages: `both`, `en` or `zh`.
        counts: compare with the published numbers.
        media: the folder of the clips, or of the whole videos, named by the video alone; else the one of the files.
    """
    languages = one_of("languages", languages, ("both", "en", "zh"))
    folder = path if path.is_dir() else path.parent
    files = _files(folder) if path.is_dir() else {path: _part(path)}
    lists = in_lists(folder, _LISTS, notes)
    gather = Gather(notes)
    shelf = Shelf(media or folder)
    fields = {lang: name for lang, name in _FIELDS.items() if languages in ("both", lang)}
    for file, split in files.items():
        for number, record in enumerate(json_of(file, list, notes)):
            name = field(record, "videoID", str, file, None, f"record {number}", notes)
            if not name:
                continue
            if lists is not None:
                split = lists[0].get(name, "")
                if not split:
                    continue
            captions = _captions(record, name, fields, gather, file)
            if captions:
                gather.add(_item(name, split, captions, record, shelf, file, notes), file)
    if lists is not None:
        for name, (file, line) in lists[1].items():
            if name not in gather.items:
                notes.say(file, line, f"{name!r} is not among the annotations", "get the list or the annotations again")
    manifest = gather.manifest("vatex", shelf.root, path)
    check_sizes(manifest, path, notes, SIZES, counts)
    return manifest


def _files(folder: Path) -> dict[Path, str]:
    found = {}
    for file in sorted(folder.glob("vatex_*.json")):
        if "private" not in file.name:  # which has no captions
            found[file] = _part(file)
    if not found:
        raise ManifestError(f"{folder}: no vatex_training, vatex_validation or vatex_public_test JSON file")
    return found


def _part(file: Path) -> str:
    split = next((split for part, split in _PARTS.items() if part in file.name), "")
    if not split:
        hint = f"its name says the split: vatex_{'*.json, vatex_'.join(_PARTS)}*.json"
        raise ManifestError(f"{file}: the name says no split, expected one with {', '.join(_PARTS)}", hint)
    return split


def _captions(record: Any, name: str, fields: dict[str, str], gather: Gather, file: Path) -> tuple[Caption, ...]:
    there = {lang: key for lang, key in fields.items() if key in record}
    if not there:
        what = f"video {name!r}: no {' or '.join(fields.values())}, so no captions"
        gather.notes.say(file, None, what, "get a file with captions: those of the private test set are not public")
    found: list[Caption] = []
    for lang, key in there.items():
        texts = field(record, key, list, file, None, f"video {name!r}", gather.notes)
        found += gather.captions(texts or (), file, None, f"video {name!r}, {key}", lang)
    return tuple(found)


def _item(
    name: str, split: str, captions: tuple[Caption, ...], record: Any, shelf: Shelf, file: Path, notes: Notes
) -> Item:
    parts = _ID.fullmatch(name)
    metadata: dict[str, Any] = {}
    start = end = None
    names = [name]
    if parts is None:
        mind(notes, file, None, f"video {name!r} names no seconds, expected VIDEO_000122_000132", "correct the record")
    else:
        metadata = {"youtube": parts["video"], "url_start": int(parts["start"]), "url_end": int(parts["end"])}
        names.append(parts["video"])
    if all(len(record.get(key, ())) == 10 for key in _FIELDS.values()):
        metadata["translated"] = _TRANSLATED
    path = shelf.path(names, ".mp4")
    if parts is not None and Path(path).stem == parts["video"]:  # the whole video, of which the clip is a part
        start, end = float(parts["start"]), float(parts["end"])
    return Item(
        id=name, path=path, modality="video", captions=captions, split=split, start=start, end=end, metadata=metadata
    )
