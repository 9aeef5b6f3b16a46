"""COCO-CN: Chinese sentences for 20,341 pictures of COCO 2014.

Li and others, "COCO-CN for Cross-Lingual Image Tagging, Captioning and Retrieval", TMM 2019.
`coco-cn_{train,val,test}.txt` list the pictures; `imageid.human-written-caption.txt` has `COCO_val2014_000000043734#0`,
a tab and the sentence a line, and `imageid.manually-translated-caption.txt` the same for five translated sentences of
each test picture.
"""

from __future__ import annotations

from pathlib import Path

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, lines, need
from crossbit.data.formats.published import Size, check_sizes, coco_path, in_lists, mind
from crossbit.data.manifest import Caption, Item, Manifest

SIZES = {"train": Size(18_341), "val": Size(1_000), "test": Size(1_000)}
WRITTEN = "imageid.human-written-caption.txt"
TRANSLATED = "imageid.manually-translated-caption.txt"
_LISTS = {split: f"coco-cn_{split}.txt" for split in ("train", "val", "test")}


def read(
    path: Path, notes: Notes, *, translated: bool = False, counts: bool = True, media: Path | None = None
) -> Manifest:
    """Read the sentences that were written in Chinese.

    Args:
        path: the folder.
        notes: takes the problems.
        translated: read the translated sentences of the test pictures too, of kind `translation`.
        counts: compare with the published numbers.
        media: the folder above `train2014` and `val2014`, or the one of the pictures; else `path`.
    """
    path = path if path.is_dir() else path.parent
    lists = in_lists(path, _LISTS, notes)
    if lists is None:
        need(path / _LISTS["train"], "the pictures of a split, one a line")
        lists = {}, {}
    gather = Gather(notes)
    told: dict[str, list[Caption]] = {}
    unlisted: set[str] = set()
    for name, kind in ((WRITTEN, "caption"), (TRANSLATED, "translation")) if translated else ((WRITTEN, "caption"),):
        file = need(path / name, "`PICTURE#NUMBER`, a tab and a sentence a line")
        for line, text in lines(file, notes):
            if not text.strip():
                continue
            key, tab, sentence = text.partition("\t")
            picture, mark, _ = key.strip().partition("#")
            if not tab or not mark:
                what = f"{text[:40]!r}, expected PICTURE#NUMBER, a tab and a sentence"
                notes.say(file, line, what, "correct or remove the line")
                continue
            caption = gather.caption(sentence, file, line, f"picture {picture!r}", "zh", kind)
            if picture not in lists[0]:
                unlisted.add(picture)
            elif caption:
                told.setdefault(picture, []).append(caption)
    root = media or path
    for picture, split in lists[0].items():
        file, line = lists[1][picture]
        if picture not in told:
            notes.say(file, line, f"picture {picture!r} has no sentence", "get the folder again")
            continue
        item = Item(id=picture, path=coco_path(f"{picture}.jpg", root), captions=tuple(told[picture]), split=split)
        gather.add(item, file, line)
    if unlisted:
        what = f"{len(unlisted)} pictures lie in no list, the first {min(unlisted)!r}"
        mind(notes, path / WRITTEN, None, what, "get the lists again")
    manifest = gather.manifest("coco-cn", root, path)
    check_sizes(manifest, path, notes, SIZES, counts)
    return manifest
