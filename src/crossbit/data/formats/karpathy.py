"""Karpathy's JSON: `dataset_coco.json`, `dataset_flickr8k.json`, `dataset_flickr30k.json`.

One object with `images`, each with `filename`, `split`, `imgid`, `sentids` and `sentences` (`raw`, `tokens`, `sentid`); COCO's
also have `filepath` and `cocoid`, and a fourth split, `restval`, that most papers train on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import SPLITS, SUFFIXES, Gather, field, json_of
from crossbit.data.formats.losses import Holds, one_language, whole_file
from crossbit.data.formats.own import rebased
from crossbit.data.formats.published import Size, Sizes, check_sizes
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError, UsageError

RESTVAL = ("train", "drop", "keep")
COCO_TRAIN = Size(113_287, 566_747)
SIZES: Mapping[str, Sizes] = {
    "coco": {
        "train": Size(82_783, 414_113),
        "restval": Size(30_504, 152_634),
        "val": Size(5_000, 25_010),
        "test": Size(5_000, 25_010),
    },
    "flickr30k": {"train": Size(29_000, 145_000), "val": Size(1_014, 5_070), "test": Size(1_000, 5_000)},
    "flickr8k": {"train": Size(6_000, 30_000), "val": Size(1_000, 5_000), "test": Size(1_000, 5_000)},
}
"""What the published files hold, by their own field `dataset`."""


def read(
    path: Path, notes: Notes, *, restval: str = "train", counts: bool = True, media: Path | None = None
) -> Manifest:
    """Read the JSON file.

    Args:
        path: the file.
        notes: takes the problems.
        restval: what COCO's fourth split becomes: `train` (as most papers have it), `drop`, or `keep` as a split of that name.
        counts: compare the numbers of COCO, Flickr8k and Flickr30k with those of the published splits.
        media: the folder of the pictures, or for COCO the one above `train2014` and `val2014`; else the file's own.

    Raises:
        UsageError: `restval` is none of the three.
    """
    if restval not in RESTVAL:
        raise UsageError(f"restval is {restval!r}, expected one of {', '.join(RESTVAL)}")
    data = json_of(path, dict, notes)
    gather = Gather(notes)
    for number, record in enumerate(field(data, "images", list, path, None, "the file", notes) or ()):
        place = f"images[{number}]"
        name = field(record, "filename", str, path, None, place, notes)
        split = name and field(record, "split", str, path, None, f"{place} ({name})", notes)
        sentences = split and field(record, "sentences", list, path, None, f"{place} ({name})", notes)
        if sentences is None or not split or (split == "restval" and restval == "drop"):
            continue
        if split not in SPLITS and split != "restval":
            found = f"{place} ({name}): split is {split!r}, expected train, val, test or restval"
            notes.say(path, None, found, "correct the field or remove the record")
            continue
        split = "train" if split == "restval" and restval == "train" else SPLITS.get(split, split)
        gather.add(_item(record, name, split, sentences, gather, path, place), path)
    manifest = gather.manifest(path.stem, media or path.parent, path)
    sizes = dict(SIZES.get(str(data.get("dataset")), {}))
    if restval == "train":
        sizes |= {"train": COCO_TRAIN} if "restval" in sizes else {}
    check_sizes(manifest, path, notes, sizes, counts)
    return manifest


def _item(
    record: Mapping[str, Any], name: str, split: str, sentences: list[Any], gather: Gather, path: Path, place: str
) -> Item:
    captions: list[Caption] = []
    sentids = []
    for number, sentence in enumerate(sentences):
        where = f"{place} ({name}), sentences[{number}]"
        raw = field(sentence, "raw", str, path, None, where, gather.notes)
        caption = None if raw is None else gather.caption(raw, path, None, where)
        if caption is not None:
            captions.append(caption)
            sentids.append(sentence.get("sentid"))
    folder = record.get("filepath")
    metadata = {key: record[key] for key in ("imgid", "cocoid") if isinstance(record.get(key), int)}
    if all(isinstance(sentid, int) for sentid in sentids) and sentids:
        metadata["sentids"] = sentids
    return Item(
        id=Path(name).stem,
        path=f"{folder}/{name}" if isinstance(folder, str) and folder else name,
        modality=SUFFIXES.get(Path(name).suffix.lower(), "image"),
        captions=tuple(captions),
        split=split,
        metadata=metadata,
    )


def write(manifest: Manifest, path: Path, *, language: str | None = None) -> list[str]:
    """Write the JSON file, pictures beside or below it.

    Args:
        manifest: of pictures.
        path: the file.
        language: whose captions are written; needed when there are several.
    """
    manifest, lost = one_language(rebased(manifest, path.parent), language)
    whole_file(manifest, "karpathy")
    if odd := next((item for item in manifest if item.split not in {"", "restval", *SPLITS.values()}), None):
        what = f"item {odd.id!r} lies in split {odd.split!r}, expected train, val, test or restval"
        raise ManifestError(
            f"{manifest.name}: {what}", "the format knows no others: rename the split, or write a manifest"
        )
    known = Holds(fields={"split"}, metadata={"imgid", "cocoid", "sentids"})
    lost += known.losses(manifest)
    if moved := sum(Path(item.path).stem != item.id for item in manifest):
        lost.append(f"{moved} ids: a picture is known by its file name there")
    images, sentid = [], 0
    for number, item in enumerate(manifest):
        given = item.metadata.get("sentids")
        ids = given if given and len(given) == len(item.captions) else range(sentid, sentid + len(item.captions))
        sentid += len(item.captions)
        imgid = item.metadata.get("imgid", number)
        folder, _, name = item.path.rpartition("/")
        record: dict[str, Any] = {
            "filename": name,
            "imgid": imgid,
            "split": item.split or "train",
            "sentids": list(ids),
        }
        record["sentences"] = [
            {"raw": c.text, "tokens": _tokens(c.text), "imgid": imgid, "sentid": i}
            for c, i in zip(item.captions, ids, strict=True)
        ]
        if folder:
            record["filepath"] = folder
        if "cocoid" in item.metadata:
            record["cocoid"] = item.metadata["cocoid"]
        images.append(record)
    text = json.dumps({"images": images, "dataset": manifest.name}, ensure_ascii=False)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    if any(not item.split for item in manifest):
        lost.append("items without a split were written as train")
    return lost


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
