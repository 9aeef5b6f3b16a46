"""Folders of media with captions in text files of the same stem, as clip-retrieval and img2dataset have them.

`cat.jpg` + `cat.txt`, one caption a line; `cat.de.txt` holds those in German. A top folder `train`, `val` or `test` is the
split.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from crossbit.data.formats.content import content, safe_name, suffix_of
from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import SPLITS, SUFFIXES, Gather, lines, one_line
from crossbit.data.formats.losses import Holds, inside
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError

_LANG = re.compile(r"\.([a-z]{2,3}(?:-[A-Za-z0-9]{2,8})?)$")


def read(path: Path, notes: Notes, *, language: str = "en", bare: bool = False) -> Manifest:
    """Read the folder and those below it; hidden files and files that are neither media nor `.txt` are passed over.

    Args:
        path: the folder.
        notes: takes the problems.
        language: of captions in files that name none.
        bare: media without captions are items as well, and no problem.
    """
    gather = Gather(notes)
    media: dict[str, Path] = {}
    texts: dict[str, list[tuple[str, Path]]] = {}
    for file in _files(path, notes):
        relative = file.relative_to(path).as_posix()
        stem, suffix = os.path.splitext(relative)
        if suffix.lower() in SUFFIXES:
            if stem in media:
                found = f"has the same stem as {media[stem].name}, so its captions cannot be told apart"
                notes.say(file, None, found, "rename one of the two")
            else:
                media[stem] = file
        elif suffix.lower() == ".txt":
            texts.setdefault(stem, []).append((language, file))
    for stem in [stem for stem in texts if stem not in media]:
        short, lang = _LANG.sub("", stem), _LANG.search(stem)
        if lang and short in media:
            texts.setdefault(short, []).extend((lang[1], file) for _, file in texts.pop(stem))
        else:
            notes.say(
                texts[stem][0][1], None, "captions of a file that is not there", f"add the media {stem}.*, or remove it"
            )
    for stem, file in media.items():
        found_captions = tuple(_captions(texts.get(stem, []), gather, stem))
        if not found_captions and stem not in texts and not bare:
            notes.say(
                file, None, f"has no captions, expected {file.stem}.txt beside it", "write them, or read with bare=true"
            )
            continue
        item = Item(
            id=stem,
            path=file.relative_to(path).as_posix(),
            modality=SUFFIXES[file.suffix.lower()],
            captions=found_captions,
            split=SPLITS.get(stem.partition("/")[0], "") if "/" in stem else "",
        )
        gather.add(item, file)
    return gather.manifest(path.resolve().name, path, path)


def _files(folder: Path, notes: Notes) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(here) / name
            if name.startswith("."):
                continue
            if file.is_symlink() and not file.resolve().is_relative_to(folder.resolve()):
                notes.say(file, None, "is a link that leads out of the folder", "copy the file into the folder")
                continue
            yield file


def _captions(texts: list[tuple[str, Path]], gather: Gather, stem: str) -> Iterator[Caption]:
    for lang, file in texts:
        empty = True
        for number, line in lines(file, gather.notes):
            empty = False
            if caption := gather.caption(line, file, number, f"item {stem!r}", lang):
                yield caption
        if empty:
            gather.notes.say(
                file, 1, f"item {stem!r}: the file is empty, expected a caption a line", "write one, or remove it"
            )


def write(manifest: Manifest, path: Path, *, language: str = "en") -> list[str]:
    """Write media and captions into a folder that is new or empty.

    Args:
        manifest: whose media are there; those inside tars and tables are taken out.
        path: the folder.
        language: whose captions go to `stem.txt`; the others go to `stem.<language>.txt`.

    Raises:
        ManifestError: the folder holds something, or a medium is missing.
    """
    if path.exists() and any(path.iterdir()):
        raise ManifestError(f"{path}: holds files already, expected a new or empty folder")
    lost = Holds(fields={"split"}).losses(manifest)
    renamed = 0
    for item in manifest:
        split = f"{item.split}/" if item.split else ""
        name = item.id.removeprefix(split)
        safe = safe_name(name)
        if _LANG.search(safe):  # `cat.de.png` would take the German captions of `cat.png` for its own
            safe = safe.replace(".", "%2E")
        renamed += split + safe != item.id
        target = path / (split + safe + suffix_of(manifest, item))
        target.parent.mkdir(parents=True, exist_ok=True)
        if inside(item):
            target.write_bytes(content(manifest, item))
        else:
            _copy(manifest, item, target)
        for lang in dict.fromkeys(caption.lang for caption in item.captions):
            ending = ".txt" if lang == language else f".{lang}.txt"
            texts = [one_line(caption.text) for caption in item.captions if caption.lang == lang]
            # the name of the media may hold dots of its own, so the ending is added and not put in place of one
            target.with_name(target.name[: len(target.name) - len(target.suffix)] + ending).write_text(
                "".join(text + "\n" for text in texts), encoding="utf-8"
            )
    for split in sorted({item.split for item in manifest} - {"", *SPLITS.values()}):
        lost.append(f"split {split!r}: a folder of that name is no split when it is read")
    if renamed:
        lost.append(f"{renamed:,} ids: an item is known by its path there")
    return lost


def _copy(manifest: Manifest, item: Item, target: Path) -> None:
    source = manifest.file(item)
    if not source.is_file():
        raise ManifestError(
            f"{manifest.name}: item {item.id!r}: there is no file {source}", "get the file, or name --media"
        )
    shutil.copyfile(source, target)
