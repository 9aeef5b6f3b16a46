"""MSR-VTT: 10,000 clips of 20 sentences each, and the four ways in which it is cut.

Xu and others, "MSR-VTT: A Large Video Description Dataset for Bridging Video and Language", CVPR 2016. One JSON object
with `videos` (`video_id`, `category`, `url`, `start time`, `end time`, `split`) and `sentences` (`sen_id`, `video_id`,
`caption`), in one file (`MSRVTT_data.json`) or two (`train_val_videodatainfo.json`, `test_videodatainfo.json`).

The 1,000 clips of "1k-A" with one sentence each are those of `MSRVTT_JSFUSION_test.csv` (Yu and others, "A Joint
Sequence Fusion Model", ECCV 2018); the training lists that go with them are 9k (all other clips) and 7k (train and
validate of the full split).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import SPLITS, Gather, Shelf, field, first_of, json_of, need
from crossbit.data.formats.published import Size, Sizes, check_sizes, listed, one_of, records
from crossbit.data.manifest import Caption, Item, Manifest

CUTS = ("9k", "7k", "1k-a", "full")
SIZES: Mapping[str, Sizes] = {
    "9k": {"train": Size(9_000, 180_000), "test": Size(1_000, 1_000)},
    "7k": {"train": Size(7_010, 140_200), "test": Size(1_000, 1_000)},
    "1k-a": {"test": Size(1_000, 1_000)},
    "full": {"train": Size(6_513, 130_260), "val": Size(497, 9_940), "test": Size(2_990, 59_800)},
}
_TEST = "MSRVTT_JSFUSION_test.csv"
_WHOLE = ("MSRVTT_data.json", "annotation/MSRVTT_data.json", "msrvtt_data/MSRVTT_data.json")
_PARTS = ("train_val_videodatainfo.json", "test_videodatainfo.json")


def read(path: Path, notes: Notes, *, cut: str = "9k", counts: bool = True, media: Path | None = None) -> Manifest:
    """Read the annotations.

    Args:
        path: the folder of the files, or one JSON file in it.
        notes: takes the problems.
        cut: `9k`, `7k` (both tested on 1k-A), `1k-a` (its test clips alone) or `full` (train, val, test of the authors).
        counts: compare with the published numbers.
        media: the folder of the clips; else the one of the files.
    """
    cut = one_of("cut", cut, CUTS)
    folder = path if path.is_dir() else path.parent
    gather = Gather(notes)
    videos: dict[str, tuple[Mapping[str, Any], Path]] = {}
    sentences: dict[str, list[Caption]] = {}
    files = [path] if path.is_file() and path.suffix == ".json" else _json_files(folder, cut)
    for file in files:
        _annotations(file, gather, videos, sentences)
    if cut == "full":
        splits = {name: _own_split(record, file, notes) for name, (record, file) in videos.items()}
        tests: dict[str, tuple[int, Mapping[str, str]]] = {}
    else:
        tests = _tests(need(folder / _TEST, "the 1,000 test clips of 1k-A"), notes)
        splits = {} if cut == "1k-a" else _training(folder, cut, videos, tests, notes)
        splits |= dict.fromkeys(tests, "test")
    shelf = Shelf(media or folder)
    for name, split in splits.items():
        if not split:
            continue
        line, row = tests.get(name, (None, {}))
        record, file = videos.get(name, ({}, folder / _TEST))
        if row:
            file = folder / _TEST
            captions = gather.captions([row["sentence"]], file, line, f"video {name!r}")
        else:
            captions = tuple(sentences.get(name, ()))
        if not captions:
            if not row:
                notes.say(file, line, f"video {name!r} has no sentence", "get the annotations again")
            continue
        gather.add(_item(name, split, captions, record, shelf), file, line)
    manifest = gather.manifest(f"msrvtt-{cut}", shelf.root, path)
    check_sizes(manifest, path, notes, SIZES[cut], counts)
    return manifest


def _json_files(folder: Path, cut: str) -> list[Path]:
    whole = first_of(folder, _WHOLE)
    if whole:
        return [whole]
    parts = [folder / name for name in _PARTS if (folder / name).is_file()]
    if not parts and cut != "1k-a":
        need(folder / _WHOLE[0], f"the sentences ({_WHOLE[0]}, or {' and '.join(_PARTS)})")
    return parts


def _annotations(
    file: Path, gather: Gather, videos: dict[str, tuple[Mapping[str, Any], Path]], sentences: dict[str, list[Caption]]
) -> None:
    notes = gather.notes
    data = json_of(file, dict, notes)
    for number, record in enumerate(field(data, "videos", list, file, None, "the file", notes) or ()):
        name = field(record, "video_id", str, file, None, f"videos[{number}]", notes)
        if name in videos:
            what = f"videos[{number}]: {name!r} stands twice, first in {videos[name][1].name}"
            notes.say(file, None, what, "remove one of the two records")
        elif name:
            videos[name] = (record, file)
    for number, record in enumerate(field(data, "sentences", list, file, None, "the file", notes) or ()):
        place = f"sentences[{number}]"
        name = field(record, "video_id", str, file, None, place, notes)
        if not name:
            continue
        if name not in videos:
            notes.say(file, None, f"{place} is of {name!r}, which is not among the videos", "get the file again")
            continue
        text = field(record, "caption", str, file, None, f"{place} ({name})", notes)
        caption = None if text is None else gather.caption(text, file, None, f"{place} ({name})")
        if caption:
            sentences.setdefault(name, []).append(caption)


def _own_split(record: Mapping[str, Any], file: Path, notes: Notes) -> str:
    split = field(record, "split", str, file, None, f"video {record['video_id']!r}", notes)
    if split and split not in SPLITS:
        found = f"video {record['video_id']!r}: split is {split!r}, expected train, validate or test"
        notes.say(file, None, found, "correct the field or remove the record")
    return SPLITS.get(split, "")


def _tests(file: Path, notes: Notes) -> dict[str, tuple[int, Mapping[str, str]]]:
    found: dict[str, tuple[int, Mapping[str, str]]] = {}
    for line, row in records(file, notes, ("key", "video_id", "sentence")):
        name = row["video_id"].strip()
        if name in found:
            what = f"{name!r} stands twice, first on line {found[name][0]}"
            notes.say(file, line, what, "remove one of the two rows: a test clip has one sentence")
            continue
        found[name] = (line, row)
    return found


def _training(
    folder: Path,
    cut: str,
    videos: Mapping[str, tuple[Mapping[str, Any], Path]],
    tests: Mapping[str, Any],
    notes: Notes,
) -> dict[str, str]:
    """Give the training clips: those of the list, or without one those that the list is known to hold."""
    file = folder / f"MSRVTT_train.{cut}.csv"
    if not file.is_file():
        if cut == "9k":
            return {name: "train" for name in videos if name not in tests}
        return {n: "train" for n, (record, at) in videos.items() if _own_split(record, at, notes) in ("train", "val")}
    found = {}
    for name, line in listed(file, notes).items():
        if name == "video_id":  # the header
            continue
        if name in tests:
            notes.say(
                file, line, f"{name!r} is a test clip of 1k-A", "remove the line: it would be tested on what it learnt"
            )
        elif name not in videos:
            notes.say(file, line, f"{name!r} is not among the videos of the annotations", "get both files again")
        else:
            found[name] = "train"
    return found


def _item(name: str, split: str, captions: tuple[Caption, ...], record: Mapping[str, Any], shelf: Shelf) -> Item:
    kept = {"category": "category", "url": "url", "start time": "url_start", "end time": "url_end"}
    category = record.get("category")
    return Item(
        id=name,
        path=shelf.path([name], ".mp4"),
        modality="video",
        captions=captions,
        labels=() if category is None else (f"category:{category}",),
        split=split,
        metadata={ours: record[theirs] for theirs, ours in kept.items() if record.get(theirs) is not None},
    )
