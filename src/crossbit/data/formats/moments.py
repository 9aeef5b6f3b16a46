"""DiDeMo and ActivityNet Captions: long videos with sentences for their parts.

Both are used in two ways: as paragraphs, where all sentences of a video are one text that finds the whole video (Zhang and
others, "Cross-Modal and Hierarchical Modeling of Video and Text", ECCV 2018), and as moments, where each sentence finds the
seconds that it tells of.

DiDeMo (Hendricks and others, "Localizing Moments in Video with Natural Language", ICCV 2017):
`{train,val,test}_data.json`, lists of objects with `annotation_id`, `video`, `description` and `times`, the first and
last of six pieces of five seconds that each of some four people chose. ActivityNet Captions (Krishna and others,
"Dense-Captioning Events in Videos", ICCV 2017): `train.json`, `val_1.json` and `val_2.json` (the same videos told by
others), objects from video to `duration`, `timestamps` and `sentences`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, Shelf, field, json_of
from crossbit.data.formats.published import Size, Sizes, check_sizes, in_lists, mind, one_of
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError

UNITS = ("paragraph", "moment")
DIDEMO: Mapping[str, Sizes] = {
    "paragraph": {
        "train": (Size(8_395, 8_395), Size(8_392, 8_392)),
        "val": Size(1_065, 1_065),
        "test": Size(1_004, 1_004),
    },
    "moment": {"train": (Size(33_005),), "val": Size(4_180), "test": Size(4_021)},
}
ACTIVITYNET: Mapping[str, Sizes] = {
    "paragraph": {"train": Size(10_009, 10_009), "val": (Size(4_917, 4_917), Size(4_885, 4_885))},
    "moment": {"train": Size(37_421), "val": (Size(17_505), Size(17_031))},
}
_DIDEMO_FILES = {"train": "train_data.json", "val": "val_data.json", "test": "test_data.json"}
_DIDEMO_LISTS = {"train": "train_list.txt", "val": "val_list.txt", "test": "test_list.txt"}
_PIECE, _PIECES = 5.0, 6
_VALS = ("val_1", "val_2")


def read_didemo(
    path: Path, notes: Notes, *, unit: str = "paragraph", counts: bool = True, media: Path | None = None
) -> Manifest:
    """Read DiDeMo.

    Args:
        path: the folder; where `train_list.txt` and the like lie there too, only their videos are taken (the usual lists for
            paragraphs leave out three training videos).
        notes: takes the problems.
        unit: `paragraph`, an item a video, or `moment`, an item a description, whose seconds are those of the person that
            the others agree with most.
        counts: compare with the published numbers.
        media: the folder of the videos; else `path`.
    """
    unit = one_of("unit", unit, UNITS)
    folder = path if path.is_dir() else path.parent
    files = {split: folder / name for split, name in _DIDEMO_FILES.items() if (folder / name).is_file()}
    if path.is_file():
        files = {split: file for split, file in files.items() if file == path} or {"": path}
    if not files:
        raise ManifestError(f"{path}: none of {', '.join(_DIDEMO_FILES.values())}")
    lists = in_lists(folder, _DIDEMO_LISTS, notes)
    gather, shelf = Gather(notes), Shelf(media or folder)
    seen: set[str] = set()
    for split, file in files.items():
        videos: dict[str, list[tuple[str, str, Any]]] = {}
        for number, record in enumerate(json_of(file, list, notes)):
            place = f"record {number}"
            name = field(record, "video", str, file, None, place, notes)
            text = name and field(record, "description", str, file, None, place, notes)
            times = text is not None and name and field(record, "times", list, file, None, place, notes)
            if not times or (lists is not None and name not in lists[0]):
                continue
            identifier = str(record.get("annotation_id", number))
            videos.setdefault(name, []).append((identifier, text, times))
        seen |= set(videos)
        for name, told in videos.items():
            in_split = split if lists is None else lists[0][name]
            make = _paragraph if unit == "paragraph" else _moments
            for item in make(name, told, in_split, gather, shelf, file):
                gather.add(item, file)
    if lists is not None:
        for name, (file, line) in lists[1].items():
            if name not in seen and lists[0][name] in files:
                notes.say(file, line, f"{name!r} has no description", "get the list or the annotations again")
    manifest = gather.manifest(f"didemo-{unit}", shelf.root, path)
    check_sizes(manifest, path, notes, DIDEMO[unit], counts)
    return manifest


def _didemo_item(name: str, identifier: str, split: str, shelf: Shelf, **more: Any) -> Item:
    # the files were put on the web again under other suffixes: x.mov may be called x.mp4 or x.mov.mp4
    stem, suffix = (name.rpartition(".")[0] or name), Path(name).suffix or ".mp4"
    path = shelf.path([stem, name], suffix)
    return Item(id=identifier, path=path, modality="video", split=split, **more)


def _paragraph(
    name: str, told: Sequence[tuple[str, str, Any]], split: str, gather: Gather, shelf: Shelf, file: Path
) -> Iterator[Item]:
    captions = gather.captions((text for _, text, _ in told), file, None, f"video {name!r}")
    if captions:
        one = gather.captions([" ".join(c.text for c in captions)], file, None, f"video {name!r}", kind="paragraph")
        yield _didemo_item(name, name, split, shelf, captions=one, metadata={"sentences": len(captions)})


def _moments(
    name: str, told: Sequence[tuple[str, str, Any]], split: str, gather: Gather, shelf: Shelf, file: Path
) -> Iterator[Item]:
    for number, text, times in told:
        record = f"description {number} of {name!r}"
        captions = gather.captions([text], file, None, record)
        if not captions:
            continue
        chosen = _pieces(times)
        if chosen is None:
            what = f"{record}: times are {str(times)[:60]}, expected pairs of pieces from 0 to {_PIECES - 1}"
            gather.notes.say(file, None, what, "correct or remove the record")
            continue
        first, last = agreed(chosen)
        seconds = {"start": first * _PIECE, "end": (last + 1) * _PIECE}
        metadata = {"video": name, "times": [list(pair) for pair in chosen]}
        yield _didemo_item(name, f"{name}#{number}", split, shelf, captions=captions, metadata=metadata, **seconds)


def _pieces(times: Any) -> list[tuple[int, int]] | None:
    found = []
    for pair in times:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(n, int) for n in pair):
            return None
        if not 0 <= pair[0] <= pair[1] < _PIECES:
            return None
        found.append((pair[0], pair[1]))
    return found


def agreed(times: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Give the pair of first and last piece that overlaps most with all others, the earlier in the list of equals."""

    def overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
        common = max(0, min(a[1], b[1]) - max(a[0], b[0]) + 1)
        return common / (a[1] - a[0] + b[1] - b[0] + 2 - common)

    return max(times, key=lambda pair: sum(overlap(pair, other) for other in times))


def read_activitynet(
    path: Path,
    notes: Notes,
    *,
    unit: str = "paragraph",
    val: str = "val_1",
    counts: bool = True,
    media: Path | None = None,
) -> Manifest:
    """Read ActivityNet Captions; its test captions are not public, so papers report the validation videos.

    Args:
        path: the folder, or one of the files.
        notes: takes the problems.
        unit: `paragraph`, an item a video, or `moment`, an item a sentence.
        val: which of the two sets of validation sentences, `val_1` (as nearly all papers) or `val_2`.
        counts: compare with the published numbers.
        media: the folder of the videos; else `path`.
    """
    unit, val = one_of("unit", unit, UNITS), one_of("val", val, _VALS)
    folder = path if path.is_dir() else path.parent
    files = {"train": folder / "train.json", "val": folder / f"{val}.json"}
    files = {split: file for split, file in files.items() if file.is_file()}
    if path.is_file():
        files = {next((s for s, file in files.items() if file == path), "val" if path.stem in _VALS else ""): path}
    if not files:
        raise ManifestError(f"{path}: neither train.json nor {val}.json")
    gather, shelf = Gather(notes), Shelf(media or folder)
    for split, file in files.items():
        for name, record in json_of(file, dict, notes).items():
            for item in _told(name, record, split, unit, gather, shelf, file):
                gather.add(item, file)
    manifest = gather.manifest(f"activitynet-{unit}", shelf.root, path)
    check_sizes(manifest, path, notes, ACTIVITYNET[unit], counts)
    return manifest


def _told(
    name: str, record: Mapping[str, Any], split: str, unit: str, gather: Gather, shelf: Shelf, file: Path
) -> Iterator[Item]:
    place, notes = f"video {name!r}", gather.notes
    sentences: Any = field(record, "sentences", list, file, None, place, notes)
    times: Any = None if sentences is None else field(record, "timestamps", list, file, None, place, notes)
    duration: Any = None if times is None else field(record, "duration", (int, float), file, None, place, notes)
    if duration is None:
        return
    if len(sentences) != len(times):
        what = f"{place}: {len(sentences)} sentences and {len(times)} timestamps, expected one each"
        notes.say(file, None, what, "correct or remove the record")
        return
    path = shelf.path([name, name.removeprefix("v_")], ".mp4")
    if unit == "paragraph":
        captions = gather.captions(sentences, file, None, place)
        text = " ".join(caption.text for caption in captions)
        if captions:
            one = gather.captions([text], file, None, place, kind="paragraph")
            metadata = {"duration": duration, "sentences": len(captions)}
            yield Item(id=name, path=path, modality="video", captions=one, split=split, metadata=metadata)
        return
    for number, (sentence, pair) in enumerate(zip(sentences, times, strict=True)):
        captions = gather.captions([sentence], file, None, f"{place}, sentence {number}")
        seconds = _seconds(pair, duration, file, f"{place}, timestamps[{number}]", notes)
        if captions and seconds is not None:
            metadata = {"video": name, "duration": duration}
            yield Item(
                id=f"{name}#{number}",
                path=path,
                modality="video",
                captions=captions,
                split=split,
                start=seconds[0],
                end=seconds[1],
                metadata=metadata,
            )


def _seconds(pair: Any, duration: float, file: Path, place: str, notes: Notes) -> tuple[float, float] | None:
    numbers = isinstance(pair, list) and len(pair) == 2
    if not numbers or not all(isinstance(n, (int, float)) and not isinstance(n, bool) and n >= 0 for n in pair):
        notes.say(file, None, f"{place}: {str(pair)[:40]}, expected two numbers of seconds", "correct the record")
        return None
    start, end = float(pair[0]), float(pair[1])
    if start > end:  # some of the published ones are
        mind(
            notes,
            file,
            None,
            f"{place}: begins at {start:g} and ends at {end:g}, taken the other way round",
            "correct it",
        )
        start, end = end, start
    if start >= duration:
        what = f"{place}: begins at {start:g}, after the end of the video at {duration:g}"
        mind(notes, file, None, what, "correct or remove the record")
    return start, end
