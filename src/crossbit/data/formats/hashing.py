"""The sets that cross-modal hashing is measured on, as MATLAB files: MIRFLICKR-25K, NUS-WIDE, MS COCO, IAPR TC-12.

They go round in three layouts (`pairs.py` knows them), each as one file or a folder of files, in version 5 or 7.3:

- whole, as DCMH has it: `IAll` or `images` (pictures), or `XAll` (their features), `YAll` or `tags` (a column a word),
  `LAll` or `labels` (a column a label), and perhaps `FAll`, the names of the picture files;
- cut, as many later codes have it: `I_tr`, `T_tr`, `L_tr` to train on, `I_te`... that ask, `I_db`... that are searched;
- raw, as the codes that start from CLIP have it: `index` (names of the picture files), `caption`, `category` (labels).

A whole or raw set is cut here: so many queries are drawn, the rest is searched, and of that so many are trained on. The
splits are `query`, `train` and `retrieval`; the items of the last two are searched, so the protocol `hashing` with
`--split query` measures as the papers do. What was drawn stands in the metadata of every item, as `drawn`.

The numbers are those of Jiang and Li, "Deep Cross-Modal Hashing", CVPR 2017, for MIRFLICKR-25K, NUS-WIDE with 21 labels
and IAPR TC-12. For NUS-WIDE with 10 labels and COCO papers differ in how many are drawn: the options `query` and `train`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, lines
from crossbit.data.formats.matfile import opened
from crossbit.data.formats.pairs import Cut, Naming, Table, items_of, keys, tables_of
from crossbit.data.formats.published import mind
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError


@dataclass(frozen=True)
class Published:
    """What a set was published with.

    Args:
        name: of the manifest.
        pairs: of picture and text.
        tags: words, the columns of the text.
        labels: columns of the labels.
        query: how many ask.
        train: how many of the others are trained on.
        worded: pairs of another release, which leaves out those without a word; 0 where there is none.
    """

    name: str
    pairs: int
    tags: int
    labels: int
    query: int = 2_000
    train: int = 10_000
    worded: int = 0


SETS: Mapping[str, Published] = {
    found.name: found
    for found in (
        Published("mirflickr25k", 20_015, 1_386, 24),
        Published("nuswide10", 186_577, 1_000, 10, worded=181_365),
        Published("nuswide21", 195_834, 1_000, 21, query=2_100, train=10_500, worded=190_421),
        Published("coco-hashing", 122_218, 2_026, 80),
        Published("iaprtc12", 20_000, 2_912, 255),
    )
}


def read(
    published: Published,
    path: Path,
    notes: Notes,
    *,
    words: Path | None = None,
    classes: Path | None = None,
    query: int = 0,
    train: int = 0,
    seed: int = 0,
    counts: bool = True,
    media: Path | None = None,
) -> Manifest:
    """Read a set.

    Args:
        published: which one.
        path: the `.mat` file, or the folder of them.
        notes: takes the problems.
        words: a file with the word of each column of the tags, one a line; without it the words are called `t0`, `t1`...
        classes: the same for the labels, else `label:0`, `label:1`...
        query: how many ask; 0 takes the published number. A set that is cut already stays as it is.
        train: how many of the others are trained on; 0 takes the published number.
        seed: of the draw.
        counts: compare with the published numbers.
        media: the folder of the picture files, where the set names them; else the one of the MATLAB files.
    """
    folder = path if path.is_dir() else path.parent
    gather = Gather(notes)
    with opened(_files(path)) as variables:
        tables = tables_of(variables, published.labels, path)
        width = {what: tables[0].width(what) for what in ("text", "label") if what in tables[0].arrays}
        naming = Naming(
            _column_names(words, width.get("text", 0), "t", notes),
            _column_names(classes, width["label"], "label:", notes),
        )
        named = "file" in tables[0].arrays
        root = media if media and named else folder
        total = 0
        for table in tables:
            cut = _cut(table, tables, published, query, train, seed)
            total += int(cut.kept.sum())
            for item in items_of(table, cut, published.name, naming, gather, root):
                gather.add(item, table.arrays["label"].file)
        file = tables[0].arrays["label"].file
    manifest = gather.manifest(published.name, root, path)
    pairs = published.worded if total == published.worded else published.pairs
    found = {"pairs": (total, pairs), "labels": (width["label"], published.labels)}
    if "text" in width and naming.counted:
        found["tags"] = (width["text"], published.tags)
    for what, (here, wanted) in found.items() if counts else ():
        if here != wanted:
            message = f"{here:,} {what}, expected {wanted:,}, as published for {published.name}"
            mind(notes, file, None, message, "get the files again; read another version of the set with counts=false")
    return manifest


read_mirflickr25k = partial(read, SETS["mirflickr25k"])
read_nuswide10 = partial(read, SETS["nuswide10"])
read_nuswide21 = partial(read, SETS["nuswide21"])
read_coco = partial(read, SETS["coco-hashing"])
read_iaprtc12 = partial(read, SETS["iaprtc12"])


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(path.rglob("*.mat"))
    if not found:
        raise ManifestError(f"{path}: no .mat file, here or below")
    return found


def _column_names(file: Path | None, columns: int, prefix: str, notes: Notes) -> list[str]:
    if file is None:
        return [f"{prefix}{column}" for column in range(columns)]
    found = [text.strip() for _, text in lines(file, notes)]
    if len(found) != columns:
        raise ManifestError(f"{file}: {len(found):,} names, expected {columns:,}, one for each column of the array")
    return found


def _cut(table: Table, tables: list[Table], published: Published, query: int, train: int, seed: int) -> Cut:
    kept = np.ones(table.count, bool)
    if table.split:
        if table.split == "retrieval":  # training pairs among the searched ones would be in the set twice
            trained = {key for other in tables if other.split == "train" for _, key in keys(other)}
            for row, key in keys(table):
                kept[row] = key not in trained
        return Cut(kept, [table.split] * table.count, "")
    query, train = query or published.query, train or published.train
    if query + train >= table.count:
        raise ManifestError(
            f"{table.arrays['label'].file}: {table.count:,} pairs, "
            f"expected more than {query:,} that ask and {train:,} to train on",
            "get the file again; to draw fewer, read with query=NUMBER and train=NUMBER",
        )
    return Cut(kept, drawn_splits(table.count, query, train, seed), f"query {query}, train {train}, seed {seed}")


def drawn_splits(count: int, query: int, train: int, seed: int) -> list[str]:
    """Draw who asks and who is trained on, without replacement; all others are only searched.

    Args:
        count: pairs.
        query: how many ask.
        train: how many of the others are trained on.
        seed: of the draw.
    """
    order: Int64[np.ndarray, " N"] = np.random.default_rng(seed).permutation(count)
    splits = np.full(count, "retrieval", dtype="U9")
    splits[order[:query]] = "query"
    splits[order[query : query + train]] = "train"
    return [str(split) for split in splits]


def rows(
    manifest: Manifest, items: Iterable[Item], what: Literal["image", "text"] = "image"
) -> Float32[np.ndarray, "N ..."]:
    """Give the stored arrays of items, in their order: features (N, width) or pictures (N, height, width, 3), or tags.

    Raises:
        ManifestError: an item is no row of such an array, or the file is not what it was.
    """
    wanted: dict[tuple[Path, str], list[tuple[int, int, int]]] = {}
    for number, item in enumerate(items):
        place = item.metadata.get(f"{what}_array")
        if not isinstance(place, dict) or set(place) != {"file", "name", "row", "rows"}:
            raise ManifestError(f"{manifest.name}: item {item.id!r} is no row of {what}s in a MATLAB file")
        file = Path(os.path.normpath(manifest.root / str(place["file"])))
        if not file.resolve().is_relative_to(manifest.root.resolve()):
            raise ManifestError(
                f"{manifest.name}: item {item.id!r} lies in {file}, expected a file below {manifest.root}"
            )
        wanted.setdefault((file, str(place["name"])), []).append((number, int(place["row"]), int(place["rows"])))
    found: dict[int, np.ndarray] = {}
    for (file, name), places in wanted.items():
        with opened([file]) as variables:
            shape = variables[name].shape if name in variables else ()
            for number, row, count in places:
                if count not in shape or not 0 <= row < count:
                    message = (
                        f"{file}: {name} has shape {shape}, expected {count:,} rows, of which row {row} is asked for"
                    )
                    raise ManifestError(message, "the file is not the one that was read: read it again")
                block = variables[name].rows(row, row + 1, shape.index(count))
                found[number] = np.asarray(block[0], dtype=np.float32)
    return np.stack([found[number] for number in range(len(found))])
