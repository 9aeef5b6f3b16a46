"""AudioCaps and Clotho: sounds with sentences, in tables.

AudioCaps (Kim and others, "AudioCaps: Generating Captions for Audios in the Wild", NAACL 2019): `train.csv`, `val.csv`,
`test.csv` with `audiocap_id,youtube_id,start_time,caption`; ten seconds of AudioSet each, one sentence for training
clips and five for the others. Clotho (Drossos and others, "Clotho: An Audio Captioning Dataset", ICASSP 2020):
`clotho_captions_{development,validation,evaluation}.csv` with `file_name,caption_1,...,caption_5`.
"""

from __future__ import annotations

from pathlib import Path

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import SPLITS, Gather, Shelf
from crossbit.data.formats.published import Size, Sizes, check_sizes, records
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError

AUDIOCAPS: Sizes = {
    "train": (Size(49_838, 49_838), Size(91_256, 91_256)),
    "val": Size(495, 2_475),
    "test": Size(975, 4_875),
}
"""AudioCaps and AudioCaps 2.0, which has more to train on and the same to test on."""

CLOTHO: Sizes = {
    "train": (Size(3_839, 19_195), Size(2_893, 14_465)),
    "val": Size(1_045, 5_225),
    "test": Size(1_045, 5_225),
}
"""Version 2, and version 1, which has no validation part."""

_SECONDS = 10
_PARTS = ("development", "validation", "evaluation")


def read_audiocaps(path: Path, notes: Notes, *, counts: bool = True, media: Path | None = None) -> Manifest:
    """Read AudioCaps.

    Args:
        path: the folder of the tables, or one of them.
        notes: takes the problems.
        counts: compare with the published numbers.
        media: the folder of the clips; else that of the tables. A clip may be called by its `youtube_id`, alone, with `Y`
            before it or with its second behind it, or by an `audiocap_id`.
    """
    files = [path] if path.is_file() else [path / f"{name}.csv" for name in ("train", "val", "test")]
    files = [file for file in files if file.is_file()]
    if not files:
        raise ManifestError(f"{path}: none of train.csv, val.csv and test.csv")
    gather = Gather(notes)
    shelf = Shelf(media or files[0].parent)
    for file in files:
        split = SPLITS.get(file.stem.lower(), "")
        clips: dict[tuple[str, str], list[tuple[str, Caption]]] = {}
        where: dict[tuple[str, str], int] = {}
        known: dict[str, int] = {}
        for line, row in records(file, notes, ("audiocap_id", "youtube_id", "start_time", "caption")):
            number, video, start = row["audiocap_id"].strip(), row["youtube_id"].strip(), row["start_time"].strip()
            if number in known:
                what = f"audiocap_id {number!r} stands twice, first on line {known[number]}"
                notes.say(file, line, what, "remove one of the two rows")
                continue
            known[number] = line
            if not video or not start.isdigit():
                what = f"youtube_id {video!r} and start_time {start!r}, expected a video and whole seconds"
                notes.say(file, line, what, "correct or remove the row")
                continue
            caption = gather.caption(row["caption"], file, line, f"clip {number!r}")
            where.setdefault((video, start), line)
            if caption:
                clips.setdefault((video, start), []).append((number, caption))
        for clip, told in clips.items():
            gather.add(_clip(*clip, told, split, shelf), file, where[clip])
    manifest = gather.manifest("audiocaps", shelf.root, path)
    check_sizes(manifest, path, notes, AUDIOCAPS, counts)
    return manifest


def _clip(video: str, start: str, told: list[tuple[str, Caption]], split: str, shelf: Shelf) -> Item:
    numbers = [number for number, _ in told]
    begin, end = int(start), int(start) + _SECONDS
    names = [video, f"Y{video}", f"{video}_{start}", f"{video}_{begin}_{end}", *numbers]
    return Item(
        id=f"{video}_{start}",
        path=shelf.path(names, ".wav"),
        modality="audio",
        captions=tuple(caption for _, caption in told),
        split=split,
        metadata={"youtube": video, "url_start": begin, "url_end": end, "audiocap_ids": numbers},
    )


def read_clotho(path: Path, notes: Notes, *, counts: bool = True, media: Path | None = None) -> Manifest:
    """Read Clotho.

    Args:
        path: the folder of the tables, or one of them.
        notes: takes the problems.
        counts: compare with the published numbers.
        media: the folder of the sounds; else that of the tables. They lie in `development`, `validation` and `evaluation`
            there, or all in it.
    """
    files = {part: path / f"clotho_captions_{part}.csv" for part in _PARTS}
    if path.is_file():
        files = {next((part for part in _PARTS if part in path.name), ""): path}
    files = {part: file for part, file in files.items() if file.is_file()}
    if not files:
        raise ManifestError(f"{path}: no clotho_captions_{{{','.join(_PARTS)}}}.csv")
    root = media or (path.parent if path.is_file() else path)
    texts = [f"caption_{number}" for number in range(1, 6)]
    gather = Gather(notes)
    for part, file in files.items():
        for line, row in records(file, notes, ("file_name", *texts)):
            name = row["file_name"].strip()  # a few stand with a blank before or behind
            captions = gather.captions((row[text] for text in texts), file, line, f"sound {name!r}")
            if not name:
                notes.say(file, line, "no file_name", "correct or remove the row")
            elif captions:
                gather.add(_sound(name, part, captions, root), file, line)
    manifest = gather.manifest("clotho", root, path)
    check_sizes(manifest, path, notes, CLOTHO, counts)
    return manifest


def _sound(name: str, part: str, captions: tuple[Caption, ...], root: Path) -> Item:
    places = (f"{part}/{name}", f"clotho_audio_{part}/{name}", f"clotho_audio_files/{part}/{name}", name)
    path = next((place for place in places if (root / place).is_file()), places[0] if part else name)
    identifier = f"{part}/{Path(name).stem}" if part else Path(name).stem
    return Item(id=identifier, path=path, modality="audio", captions=captions, split=SPLITS.get(part, ""))
