"""ECCV Caption and CxC: who else describes whom among the 5,000 test pictures of COCO, beside the five captions of each.

ECCV Caption (Chun and others, ECCV 2022): `eccv_image_to_caption.json` and `eccv_caption_to_image.json`, objects from the
number of a picture or caption of COCO to a list of the other kind; 1,261 pictures and 1,332 captions ask, all others are
only searched. Its measures are `map_at_r`, `r_precision` and `recall_at_1`. CxC (Parekh and others, "Crisscrossed
Captions", EACL 2021): `sits_test.csv` and `sits_val.csv`, with a rating from 0 to 5 for 44,833 and 44,723 pairs of caption
and picture; those of 3 and more are relevant, even where the picture's own caption is not among them.

Both hold numbers alone, so pictures and captions come from Karpathy's `dataset_coco.json`. What is read are its items with
what the annotators said in their metadata: `relevant_captions`, the numbers of captions, for a picture that asks, and
`relevant_images`, for each caption that asks the numbers of pictures, else None. The protocol `annotated` measures by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossbit.data.formats import karpathy
from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import json_of, need
from crossbit.data.formats.published import mind, one_of, records
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError

_COCO = "dataset_coco.json"
_ECCV = ("eccv_image_to_caption.json", "eccv_caption_to_image.json")
ECCV = {"pictures that ask": 1_261, "their captions": 22_550, "captions that ask": 1_332, "their pictures": 11_279}
CXC = {
    "test": {"pictures that ask": 5_000, "captions that ask": 24_972, "their pictures": 35_585},
    "val": {"pictures that ask": 5_000, "captions that ask": 24_963, "their pictures": 37_254},
}

Links = Mapping[int, list[int]]
"""Number of who asks to the numbers of what answers."""


def read_eccv(
    path: Path, notes: Notes, *, coco: Path | None = None, counts: bool = True, media: Path | None = None
) -> Manifest:
    """Read ECCV Caption.

    Args:
        path: the folder of its two files.
        notes: takes the problems.
        coco: Karpathy's `dataset_coco.json`; else the one in the folder.
        counts: compare with the published numbers.
        media: the folder above `train2014` and `val2014`; else the one of `dataset_coco.json`.
    """
    folder = path if path.is_dir() else path.parent
    captions, pictures = (_links(need(folder / name, "who describes whom"), notes) for name in _ECCV)
    return _joined("eccv-caption", path, "test", captions, pictures, coco or folder / _COCO, media, ECCV, counts, notes)


def read_cxc(
    path: Path,
    notes: Notes,
    *,
    split: str = "test",
    threshold: float = 3.0,
    coco: Path | None = None,
    counts: bool = True,
    media: Path | None = None,
) -> Manifest:
    """Read the pairs of picture and caption of CxC.

    Args:
        path: the folder of `sits_test.csv`, or `data` below it, or the file.
        notes: takes the problems.
        split: `test` or `val`.
        threshold: the lowest rating that makes a pair relevant.
        coco: Karpathy's `dataset_coco.json`; else the one in the folder.
        counts: compare with the published numbers, where the threshold is theirs.
        media: the folder above `train2014` and `val2014`; else the one of `dataset_coco.json`.
    """
    split = one_of("split", split, CXC)
    folder = path if path.is_dir() else path.parent
    inner = folder / "data" / f"sits_{split}.csv"
    file = path if path.is_file() else inner if inner.is_file() else need(folder / f"sits_{split}.csv", "the ratings")
    captions: dict[int, list[int]] = {}
    pictures: dict[int, list[int]] = {}
    rated: dict[tuple[int, int], int] = {}
    for line, row in records(file, notes, ("caption", "image", "agg_score")):
        pair = _pair(row, file, line, notes)
        if pair is None:
            continue
        caption, picture, score = pair
        first = rated.setdefault((caption, picture), line)
        if first != line:
            what = f"caption {caption} and picture {picture} are rated twice, first on line {first}"
            notes.say(file, line, what, "remove one of the two rows")
        elif score >= threshold:
            captions.setdefault(picture, []).append(caption)
            pictures.setdefault(caption, []).append(picture)
    expected = CXC[split] if threshold == 3 else {}
    return _joined(
        f"cxc-{split}", path, split, captions, pictures, coco or folder / _COCO, media, expected, counts, notes
    )


def _pair(row: Mapping[str, str], file: Path, line: int, notes: Notes) -> tuple[int, int, float] | None:
    """Give the numbers of caption and picture and the rating of `COCO_val2014:sentid:7,COCO_val2014_000000000009.jpg,2.2`."""
    caption = row["caption"].rpartition(":")[2]
    picture = row["image"].rpartition("_")[2].partition(".")[0]
    try:
        score = float(row["agg_score"])
    except ValueError:
        score = -1.0
    if caption.isdigit() and picture.isdigit() and 0 <= score <= 5:
        return int(caption), int(picture), score
    what = f"{row['caption']!r}, {row['image']!r}, {row['agg_score']!r}: expected caption, picture and a rating from 0 to 5"
    notes.say(file, line, what, "correct or remove the row")
    return None


def _links(file: Path, notes: Notes) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for key, values in json_of(file, dict, notes).items():
        numbers = (
            isinstance(values, list) and values and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
        )
        if not key.isdigit() or not numbers or len(set(values)) < len(values):
            what = f"{key!r}: {str(values)[:40]}, expected a number and a list of other numbers, each once"
            notes.say(file, None, what, "correct or remove the record")
            continue
        found[int(key)] = values
    return found


def _joined(
    name: str,
    path: Path,
    split: str,
    captions: Links,
    pictures: Links,
    coco: Path,
    media: Path | None,
    expected: Mapping[str, int],
    counts: bool,
    notes: Notes,
) -> Manifest:
    if not coco.is_file():
        hint = f"name Karpathy's {_COCO}: --option coco=FILE"
        raise ManifestError(f"{coco}: no such file, expected the pictures and captions that {path.name} is about", hint)
    whole = karpathy.read(coco, notes, counts=counts, media=media)
    items = tuple(_annotated(item, captions, pictures) for item in whole if item.split == split)
    known = {item.metadata.get("cocoid") for item in items}
    told = {sentid for item in items for sentid in item.metadata.get("sentids", ())}
    for what, numbers, there in (
        ("pictures", {*captions, *(n for found in pictures.values() for n in found)}, known),
        ("captions", {*pictures, *(n for found in captions.values() for n in found)}, told),
    ):
        if strange := sorted(numbers - there):
            found = f"{len(strange):,} {what} are not in split {split!r} of {coco.name}, the first {strange[0]}"
            mind(notes, path, None, found, "they cannot be found by anybody; get both files again if they are many")
    answered = {
        "pictures that ask": len(captions),
        "their captions": sum(map(len, captions.values())),
        "captions that ask": len(pictures),
        "their pictures": sum(map(len, pictures.values())),
    }
    for what, number in expected.items() if counts else ():
        if answered[what] != number:
            message = f"{what}: {answered[what]:,}, expected {number:,}, as published"
            mind(notes, path, None, message, "get the files again; read a part of them with counts=false")
    if not items:
        notes.say(coco, None, f"no picture in split {split!r}", f"name Karpathy's {_COCO}: --option coco=FILE")
    return Manifest(name, whole.root, items)


def _annotated(item: Item, captions: Links, pictures: Links) -> Item:
    metadata: dict[str, Any] = dict(item.metadata)
    if item.metadata.get("cocoid") in captions:
        metadata["relevant_captions"] = captions[item.metadata["cocoid"]]
    asked = [pictures.get(sentid) for sentid in item.metadata.get("sentids", ())]
    if any(found is not None for found in asked):
        metadata["relevant_images"] = asked
    return replace(item, metadata=metadata)
