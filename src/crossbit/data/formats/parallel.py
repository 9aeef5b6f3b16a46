"""Multi30K and XTD10: captions in several languages, in text files of which line n of each belongs to picture n.

Multi30K (Elliott and others, "Multi30K: Multilingual English-German Image Descriptions", VL 2016): task 1 has one
English sentence a picture and its translations (`task1/raw/train.de`), task 2 five English and five German ones,
written independently (`task2/raw/train.1.de`); `image_splits` lists the pictures, which are Flickr30K's and in one test
set COCO's.

XTD10 (Aggarwal and Kale, "Towards Zero-shot Cross-lingual Image Retrieval", 2020): 1,000 pictures of COCO 2014 in
`test_image_names.txt` and `test_1kcaptions_<language>.txt` beside it, with German and French (MIC) and Japanese (STAIR).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, first_of, lines
from crossbit.data.formats.published import Size, check_sizes, coco_path, mind
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError, UsageError

MULTI30K: Mapping[int, Mapping[str, Size]] = {
    1: {
        "train": Size(29_000),
        "val": Size(1_014),
        "test_2016_flickr": Size(1_000),
        "test_2017_flickr": Size(1_000),
        "test_2017_mscoco": Size(461),
        "test_2018_flickr": Size(1_071),
    },
    2: {"train": Size(29_000), "val": Size(1_014), "test_2016": Size(1_000)},
}
XTD10 = {"test": Size(1_000)}
_LANGUAGES = ("en", "de", "fr", "cs")
_OF_XTD = {"jp": "ja"}
_LIST = "test_image_names.txt"
_XTD_NAME = re.compile(r"test_1kcaptions_([a-z]{2,3})\.txt")


def read_multi30k(
    path: Path,
    notes: Notes,
    *,
    task: int = 1,
    test: str = "2016_flickr",
    counts: bool = True,
    media: Path | None = None,
) -> Manifest:
    """Read Multi30K.

    Args:
        path: the repository of the data, its `data`, or a folder `task1` or `task2`.
        notes: takes the problems.
        task: 1 (translations) or 2 (independent captions).
        test: which test set of task 1 is the split `test`; the others are splits of their own names, `test_2017_flickr`.
        counts: compare with the published numbers.
        media: the folder of the pictures; else `path`.
    """
    if task not in MULTI30K:
        raise UsageError(f"task is {task!r}, expected 1 or 2")
    chosen = f"test_{test.removeprefix('test_')}" if task == 1 else "test_2016"
    parts = MULTI30K[task]
    if chosen not in parts:
        tests = ", ".join(name.removeprefix("test_") for name in parts if name.startswith("test_"))
        raise UsageError(f"test is {test!r}, expected one of {tests}")
    folder = next(
        (p for p in (path, path / f"task{task}", path / f"data/task{task}") if (p / "image_splits").is_dir()), None
    )
    if folder is None:
        raise ManifestError(f"{path}: no image_splits, expected the folder task{task} or one above it")
    root = media or path
    gather = Gather(notes)
    for part in parts:
        names = first_of(folder, (f"image_splits/{part}.txt", f"image_splits/{part}_images.txt"))
        texts = _texts(folder, part, task)
        if names is None or not texts:
            if names is not None or texts:
                lacking = "the list of pictures" if names is None else "every text"
                notes.say(folder, None, f"part {part!r} lacks {lacking}", "get the folder again")
            continue
        _lines_of(names, texts, "test" if part == chosen else part, gather, root)
    manifest = gather.manifest(f"multi30k-task{task}", root, path)
    check_sizes(
        manifest, path, notes, {"test" if name == chosen else name: size for name, size in parts.items()}, counts
    )
    return manifest


def _texts(folder: Path, part: str, task: int) -> list[tuple[str, Path]]:
    found = []
    for lang in _LANGUAGES:
        for name in [f"{part}.{lang}"] if task == 1 else [f"{part}.{number}.{lang}" for number in range(1, 6)]:
            file = first_of(folder, (f"raw/{name}", f"raw/{name}.gz", name, f"{name}.gz"))
            if file is not None:
                found.append((lang, file))
    return found


def _lines_of(names: Path, texts: Sequence[tuple[str, Path]], split: str, gather: Gather, root: Path) -> None:
    """Put line n of every text to picture n."""
    notes = gather.notes
    pictures = [(line, text.strip()) for line, text in lines(names, notes)]
    told: list[list[Caption]] = [[] for _ in pictures]
    for lang, file in texts:
        count = 0
        for line, text in lines(file, notes):
            count = line
            if line > len(pictures):
                continue
            caption = gather.caption(text, file, line, f"picture {pictures[line - 1][1]!r}", lang)
            if caption:
                told[line - 1].append(caption)
        if count != len(pictures):
            what = f"{count:,} lines, expected {len(pictures):,}, one for each picture of {names.name}"
            notes.say(file, min(count, len(pictures)) + 1, what, "the file is cut, or of another part: get it again")
    for (line, picture), captions in zip(pictures, told, strict=True):
        name, _, sentence = picture.partition("#")  # a picture of COCO and the number of its sentence
        if not name:
            notes.say(names, line, "no picture", "remove the line here and in every text, or get the list again")
        elif captions:
            item = Item(
                id=Path(name).stem,
                path=coco_path(name, root),
                captions=tuple(captions),
                split=split,
                metadata={"sentid": int(sentence)} if sentence.isdigit() else {},
            )
            gather.add(item, names, line)


def read_xtd10(path: Path, notes: Notes, *, counts: bool = True, media: Path | None = None) -> Manifest:
    """Read XTD10; all of it is a test set.

    Args:
        path: the repository of the data, or a folder with the list and the texts.
        notes: takes the problems.
        counts: compare with the published numbers.
        media: the folder of the pictures, or the one above `train2014` and `val2014`; else `path`.
    """
    names = first_of(path, (_LIST, f"XTD10/{_LIST}"))
    if names is None:
        raise ManifestError(f"{path}: no {_LIST}, here or in XTD10")
    files: dict[str, Path] = {}
    for folder in (names.parent, *(path / part for part in ("XTD10", "MIC", "STAIR"))):
        for file in sorted(folder.glob("test_1kcaptions_*.txt")) if folder.is_dir() else ():
            found = _XTD_NAME.fullmatch(file.name)
            if found is None:
                notes.say(file, None, "the name says no language", "call it test_1kcaptions_<language>.txt")
                continue
            lang = _OF_XTD.get(found[1], found[1])
            if files.setdefault(lang, file) != file and file.read_bytes() != files[lang].read_bytes():
                mind(
                    notes,
                    file,
                    None,
                    f"other captions in {lang!r} than {files[lang]}, which are taken",
                    "remove one file",
                )
    if not files:
        raise ManifestError(f"{path}: no test_1kcaptions_<language>.txt, here or in XTD10, MIC and STAIR")
    gather = Gather(notes)
    texts = sorted(files.items(), key=lambda pair: (pair[0] != "en", pair[0]))
    _lines_of(names, texts, "test", gather, media or path)
    manifest = gather.manifest("xtd10", media or path, path)
    check_sizes(manifest, path, notes, XTD10, counts)
    return manifest
