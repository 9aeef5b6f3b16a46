"""What is wrong with a data set is named with file, record and remedy, in every general format; nothing is passed over."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossbit.data import formats
from crossbit.errors import DataError, ManifestError
from data.formats.made import MAKERS, PICTURES, png, tar


def edit(path: Path, old: str | bytes, new: str | bytes, count: int = 1) -> None:
    raw = path.read_bytes()
    old, new = (text.encode() if isinstance(text, str) else text for text in (old, new))
    assert old in raw, f"{path} does not hold {old!r}"
    path.write_bytes(raw.replace(old, new, count))


def add(path: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + text.encode())


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def karpathy(path: Path, change: Callable[[list[dict[str, object]]], object]) -> None:
    data = json.loads(path.read_text())
    change(data["images"])
    path.write_text(json.dumps(data))


def parquet(path: Path, change: Callable[[list[dict[str, object]]], object]) -> None:
    records = pq.read_table(path).to_pylist()
    change(records)
    pq.write_table(pa.Table.from_pylist(records), path)


def odd_start(path: Path) -> None:
    head, first, *others = path.read_text().splitlines()
    path.write_text("\n".join([f"{head}\tstart", f"{first}\tsoon", *(f"{line}\t1.5" for line in others)]) + "\n")


def one_concept(path: Path) -> None:
    for split in ("train", "val"):
        edit(path, f'"split": "{split}"', f'"concept": "c", "split": "{split}"', 9)


def rename(path: Path, old: str, new: str) -> None:
    path.rename(path.with_name(path.name.replace(old, new)))


def latin(table: pa.Table) -> pa.Table:
    """Give the table with an `image` that is not UTF-8 in its second row, as a careless writer makes it."""
    raw = pa.array([b"a.png", b"gr\xe4s.png", b"b.png", b"c.png"]).view(pa.string())
    return table.set_column(table.column_names.index("image"), "image", raw)


def retar(folder: Path, members: list[tuple[str, bytes]]) -> None:
    tar(folder / "test-000.tar", members)


Harm = Callable[[Path], object]
WHITE = ("white.png", png((255, 255, 255)))

# format, what is done to its fixture (the path that its maker gives), what the first problem says, which file, which line
CASES: dict[str, tuple[str, Harm, str, str, int | None]] = {
    # --- an item or a part of it is missing
    "manifest without a path": (
        "manifest",
        lambda p: edit(p, '"path": "green.png", ', ""),
        "field 'path' is None",
        "manifest.jsonl",
        2,
    ),
    "manifest cut": ("manifest", lambda p: cut(p, 0.9), "not JSON", "manifest.jsonl", 4),
    "jsonl without a path": (
        "jsonl",
        lambda p: edit(p, '"image": "green.png", ', ""),
        "item 'green' names no file",
        "toy.jsonl",
        2,
    ),
    "jsonl cut": ("jsonl", lambda p: cut(p, 0.9), "not JSON", "toy.jsonl", 4),
    "csv row too short": (
        "csv",
        lambda p: edit(p, "green.png,train,grass & leaves", "green.png"),
        "2 cells, expected 4",
        "toy.csv",
        4,
    ),
    "csv empty row": ("csv", lambda p: add(p, ",,,\r\n"), "names no file", "toy.csv", 10),
    "csv quote left open": (
        "csv",
        lambda p: edit(p, '""stop"""', '""stop'),
        "the row that begins here cannot be read",
        "toy.csv",
        3,
    ),
    "csv without captions": (
        "csv",
        lambda p: edit(p, "caption", "remark"),
        "no column is known for the captions",
        "toy.csv",
        None,
    ),
    "csv without paths": (
        "csv",
        lambda p: edit(p, "file_name", "remark"),
        "no column is known for the media files",
        "toy.csv",
        None,
    ),
    "csv with an address": (
        "csv",
        lambda p: edit(p, "green.png", "https://example.org/green.png"),
        "is an address, expected a file",
        "toy.csv",
        4,
    ),
    "csv two columns of one name": (
        "csv",
        lambda p: edit(p, "split", "caption"),
        "two columns are called 'caption'",
        "toy.csv",
        None,
    ),
    "tsv no number": ("tsv", odd_start, "item 'red': start is 'soon', expected seconds", "toy.tsv", 2),
    "karpathy without sentences": (
        "karpathy",
        lambda p: karpathy(p, lambda i: i[1].pop("sentences")),
        "images[1] (green.png): field 'sentences' is missing",
        "dataset_toy.json",
        None,
    ),
    "karpathy of another split": (
        "karpathy",
        lambda p: karpathy(p, lambda i: i[1].update(split="trian")),
        "images[1] (green.png): split is 'trian'",
        "dataset_toy.json",
        None,
    ),
    "karpathy cut": ("karpathy", cut, "not JSON", "dataset_toy.json", 1),
    "karpathy is a list": (
        "karpathy",
        lambda p: p.write_text("[1]"),
        "holds a list, expected a dict",
        "dataset_toy.json",
        None,
    ),
    "precomp without captions": (
        "precomp",
        lambda p: (p / "dev_caps.txt").unlink(),
        "expected the captions of dev_ims.npy",
        "dev_caps.txt",
        None,
    ),
    "precomp caption missing": (
        "precomp",
        lambda p: edit(p / "train_caps.txt", "tab\there\n", ""),
        "5 ids for 2 rows and 4 captions",
        "train_ids.txt",
        5,
    ),
    "precomp array cut": (
        "precomp",
        lambda p: cut(p / "test_ims.npy"),
        "no array of numbers that can be read",
        "test_ims.npy",
        None,
    ),
    "precomp array of objects": (
        "precomp",
        lambda p: np.save(p / "test_ims.npy", np.array([{}]), allow_pickle=True),
        "no array of numbers that can be read",
        "test_ims.npy",
        None,
    ),
    "folder without a text": (
        "folder",
        lambda p: (p / "train" / "green.txt").unlink(),
        "has no captions, expected green.txt beside it",
        "green.png",
        None,
    ),
    "folder without the media": (
        "folder",
        lambda p: (p / "train" / "green.png").unlink(),
        "captions of a file that is not there",
        "green.txt",
        None,
    ),
    "folder of two of a stem": (
        "folder",
        lambda p: (p / "train" / "green.jpg").write_bytes(b"x"),
        "has the same stem as green.jpg",
        "green.png",
        None,
    ),
    "folder with a link out of it": (
        "folder",
        lambda p: (p / "x.png").symlink_to("/etc/hostname"),
        "is a link that leads out of the folder",
        "x.png",
        None,
    ),
    "tar without the media": (
        "webdataset",
        lambda p: retar(p, [("white.txt", b"snow")]),
        "key 'white' has .txt and no media",
        "test-000.tar",
        None,
    ),
    "tar without a text": (
        "webdataset",
        lambda p: retar(p, [WHITE]),
        "item 'white' has no caption",
        "test-000.tar",
        None,
    ),
    "tar of strange members": (
        "webdataset",
        lambda p: retar(p, [WHITE, ("white.exe", b"MZ")]),
        "member 'white.exe' is neither media nor",
        "test-000.tar",
        None,
    ),
    "tar with torn JSON": (
        "webdataset",
        lambda p: retar(p, [WHITE, ("white.json", b"{")]),
        "member white.json is not JSON",
        "test-000.tar",
        None,
    ),
    "parquet cut": ("parquet", cut, "no Parquet file that can be read", "toy.parquet", None),
    "parquet without a path": (
        "parquet",
        lambda p: parquet(p, lambda r: r[1].update(image=None)),
        "row 1: item 'green' names no file",
        "toy.parquet",
        None,
    ),
    "hf shard missing": (
        "hf saved",
        lambda p: next((p / "train").glob("*1-of-*.arrow")).unlink(),
        "lists the shard 'data-00001-of-00002.arrow', and there is no such file",
        "state.json",
        None,
    ),
    "hf shard cut": (
        "hf saved",
        lambda p: cut(p / "test" / "data-00000-of-00001.arrow"),
        "no Arrow file that can be read",
        "data-00000-of-00001.arrow",
        None,
    ),
    "hf shard out of the folder": (
        "hf saved",
        lambda p: edit(p / "test" / "state.json", "data-00000-of-00001.arrow", "../../x.arrow"),
        "lists the shard '../../x.arrow', expected a file of the folder",
        "state.json",
        None,
    ),
    "hf Parquet shard missing": (
        "hf Parquet",
        lambda p: rename(p / "data" / "train-00000-of-00001.parquet", "of-00001", "of-00002"),
        "1 shards train-*.parquet, expected 2",
        "data",
        None,
    ),
    # --- an id stands twice
    "manifest id twice": (
        "manifest",
        lambda p: edit(p, '"id": "green"', '"id": "red"'),
        "item 'red' stands twice, first at manifest.jsonl:1",
        "manifest.jsonl",
        2,
    ),
    "jsonl id twice": (
        "jsonl",
        lambda p: edit(p, '"id": "green"', '"id": "red"'),
        "item 'red' stands twice, first at toy.jsonl:1",
        "toy.jsonl",
        2,
    ),
    "csv id of two files": (
        "csv",
        lambda p: edit(p, "green,green.png", "red,green.png"),
        "item 'red' has path 'green.png', and 'red.png' at toy.csv:2",
        "toy.csv",
        4,
    ),
    "karpathy id twice": (
        "karpathy",
        lambda p: karpathy(p, lambda i: i.append(i[0])),
        "item 'red' stands twice",
        "dataset_toy.json",
        None,
    ),
    "parquet id twice": (
        "parquet",
        lambda p: parquet(p, lambda r: r.append(r[0])),
        "row 4: item 'red' stands twice",
        "toy.parquet",
        None,
    ),
    "tar key twice": (
        "webdataset",
        lambda p: retar(p, [("red.png", WHITE[1]), ("red.txt", b"snow")]),
        "key 'red': item 'red' stands twice, first at test-000.tar",
        "train-000.tar",
        None,
    ),
    # --- a caption is empty
    "manifest caption empty": (
        "manifest",
        lambda p: edit(p, '"tab\\there"', '" "'),
        "caption 1 has no text",
        "manifest.jsonl",
        2,
    ),
    "jsonl caption empty": (
        "jsonl",
        lambda p: edit(p, '"tab\\there"', '""'),
        "item 'green': caption is empty",
        "toy.jsonl",
        2,
    ),
    "jsonl caption is a number": (
        "jsonl",
        lambda p: edit(p, '"tab\\there"', "7"),
        "item 'green': caption is '7' (int), expected text",
        "toy.jsonl",
        2,
    ),
    "csv caption empty": ("csv", lambda p: edit(p, "tab\there", ""), "item 'green': caption is empty", "toy.csv", 5),
    "karpathy caption empty": (
        "karpathy",
        lambda p: edit(p, '"raw": "tab\\there"', '"raw": ""'),
        "images[1] (green.png), sentences[1]: caption is empty",
        "dataset_toy.json",
        None,
    ),
    "precomp caption empty": (
        "precomp",
        lambda p: edit(p / "train_caps.txt", "tab\there", ""),
        "image 'green': caption is empty",
        "train_caps.txt",
        4,
    ),
    "folder caption empty": (
        "folder",
        lambda p: edit(p / "train" / "green.txt", "tab\there", ""),
        "item 'train/green': caption is empty",
        "green.txt",
        2,
    ),
    "folder text empty": (
        "folder",
        lambda p: (p / "train" / "green.txt").write_text(""),
        "the file is empty, expected a caption a line",
        "green.txt",
        1,
    ),
    "tar caption empty": (
        "webdataset",
        lambda p: retar(p, [WHITE, ("white.txt", b" \n")]),
        "key 'white': item 'white': caption is empty",
        "test-000.tar",
        None,
    ),
    # --- not UTF-8
    "manifest not UTF-8": (
        "manifest",
        lambda p: edit(p, "grass", b"gr\xe4ss"),
        "(0xe4) is not UTF-8",
        "manifest.jsonl",
        2,
    ),
    "jsonl not UTF-8": ("jsonl", lambda p: edit(p, "grass", b"gr\xe4ss"), "(0xe4) is not UTF-8", "toy.jsonl", 2),
    "csv not UTF-8": (
        "csv",
        lambda p: edit(p, "grass", b"gr\xe4ss"),
        "byte 25 of the line (0xe4) is not UTF-8",
        "toy.csv",
        4,
    ),
    "karpathy not UTF-8": (
        "karpathy",
        lambda p: edit(p, "grass", b"gr\xe4ss"),
        "(0xe4) is not UTF-8",
        "dataset_toy.json",
        1,
    ),
    "precomp not UTF-8": (
        "precomp",
        lambda p: edit(p / "train_caps.txt", "grass", b"gr\xe4ss"),
        "byte 3 of the line (0xe4) is not UTF-8",
        "train_caps.txt",
        3,
    ),
    "folder not UTF-8": (
        "folder",
        lambda p: edit(p / "train" / "green.txt", "grass", b"gr\xe4ss"),
        "byte 3 of the line (0xe4)",
        "green.txt",
        1,
    ),
    "tar not UTF-8": (
        "webdataset",
        lambda p: retar(p, [WHITE, ("white.txt", b"wei\xdf")]),
        "member 'white.txt': byte 4 (0xdf) is not UTF-8",
        "test-000.tar",
        None,
    ),
    "parquet not UTF-8": (
        "parquet",
        lambda p: pq.write_table(latin(pq.read_table(p)), p),
        "row 1: holds the byte 0xe4, which is not UTF-8",
        "toy.parquet",
        None,
    ),
    "folder of a name that is not UTF-8": (
        "folder",
        lambda p: (
            (p / "train" / "green.png").rename(p / "train" / os.fsdecode(b"gr\xe4s.png"))
            and (p / "train" / "green.txt").rename(p / "train" / os.fsdecode(b"gr\xe4s.txt"))
        ),
        r"item 'train/gr\udce4s' holds '\udce4', which is half a character, no byte of UTF-8 or no part of a name",
        os.fsdecode(b"gr\xe4s.png"),
        None,
    ),
    "manifest of half characters": (
        "manifest",
        lambda p: edit(p, "grass", r"gr\ud83dass"),
        r"item 'green' holds '\ud83d', which is half a character",
        "manifest.jsonl",
        2,
    ),
    # --- HTML in captions
    "manifest HTML": (
        "manifest",
        lambda p: edit(p, "grass & leaves", "grass &amp; leaves"),
        "item 'green': caption 0 holds the HTML '&amp;'",
        "manifest.jsonl",
        2,
    ),
    "csv HTML": (
        "csv",
        lambda p: edit(p, "three < four", "three &#60; four"),
        "item 'green': caption 2 holds the HTML '&#60;'",
        "toy.csv",
        4,
    ),
    "karpathy HTML": (
        "karpathy",
        lambda p: edit(p, "three < four", "three &lt; four"),
        "caption 2 holds the HTML '&lt;', expected '<'",
        "dataset_toy.json",
        None,
    ),
    "folder HTML": (
        "folder",
        lambda p: edit(p / "train" / "green.txt", "& leaves", "&nbsp;leaves"),
        "holds the HTML '&nbsp;'",
        "green.png",
        None,
    ),
    "tar HTML": (
        "webdataset",
        lambda p: retar(p, [WHITE, ("white.txt", b"R&eacute;union")]),
        "holds the HTML '&eacute;'",
        "test-000.tar",
        None,
    ),
    # --- media are listed and absent
    "manifest media absent": (
        "manifest",
        lambda p: (p.parent / "green.png").unlink(),
        "item 'green': green.png is listed, and there is no such file",
        "manifest.jsonl",
        2,
    ),
    "csv media absent": (
        "csv",
        lambda p: (p.parent / "green.png").unlink(),
        "item 'green': green.png is listed, and there is no such file",
        "toy.csv",
        4,
    ),
    "csv media outside": ("csv", lambda p: edit(p, "green.png", "../green.png", 3), "expected one below", "toy.csv", 4),
    "karpathy media absent": (
        "karpathy",
        lambda p: (p.parent / "green.png").unlink(),
        "item 'green': green.png is listed",
        "dataset_toy.json",
        None,
    ),
    "parquet media absent": (
        "parquet",
        lambda p: (p.parent / "green.png").unlink(),
        "item 'green': green.png is listed",
        "toy.parquet",
        None,
    ),
    # --- splits overlap
    "csv splits overlap": (
        "csv",
        lambda p: edit(p, "white.png", "red.png", 2),
        "file 'red.png' lies in split 'train' (item 'red') and in 'test' (item 'white')",
        "toy.csv",
        8,
    ),
    "manifest splits overlap": (
        "manifest",
        one_concept,
        "concept 'c' lies in split 'train' (item 'red') and in 'val' (item 'blue')",
        "manifest.jsonl",
        3,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named(tmp_path: Path, case: str) -> None:
    made, harm, said, file, line = CASES[case]
    name, maker = MAKERS[made]
    path = maker(tmp_path / "toy")
    harm(path)
    report = formats.validate(name, path)
    first = report.problems[0]
    assert said in first.message
    assert (first.file.name, first.line) == (file, line)
    assert first.remedy


@pytest.mark.parametrize(
    "case", [case for case in CASES if not any(word in case for word in ("HTML", "absent", "media outside", "strange"))]
)
def test_reading_stops_at_the_same_place_and_says_it(tmp_path: Path, case: str) -> None:
    made, harm, said, _, _ = CASES[case]
    name, maker = MAKERS[made]
    path = maker(tmp_path / "toy")
    harm(path)
    with pytest.raises(DataError, match=re.escape(said)) as raised:
        formats.read(name, path)
    assert raised.value.hint


DROPPED = {
    "manifest without a path": ["red", "blue", "white"],
    "jsonl cut": ["red", "green", "blue"],
    "csv row too short": ["red", "green", "blue", "white"],
    "jsonl caption empty": ["red", "green", "blue", "white"],
    "karpathy without sentences": ["red", "blue", "white"],
    "folder without a text": ["train/red", "val/blue", "test/white"],
    "tar without a text": ["red", "green", "blue"],
    "csv splits overlap": ["green", "blue", "white"],
    "hf shard missing": ["red", "blue", "white"],
}


@pytest.mark.parametrize("case", DROPPED)
def test_what_is_at_fault_is_left_out_on_demand_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    made, harm, said, _, _ = CASES[case]
    name, maker = MAKERS[made]
    path = maker(tmp_path / "toy")
    harm(path)
    with caplog.at_level(logging.WARNING):
        found = formats.read(name, path, drop_faulty=True)
    assert sorted(item.id for item in found) == sorted(DROPPED[case])
    assert f"{found.name}: 1 faults left out, the first: " in caplog.text
    assert said in caplog.text


def test_ten_problems_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("path,caption\n" + "".join(f"{n}.png,\n" for n in range(50)))
    assert [problem.line for problem in formats.validate("csv", path).problems] == list(range(2, 12))
    assert len(formats.validate("csv", path, 3).problems) == 3
    # an empty caption and an absent file each
    assert len(formats.validate("csv", path, 1000).problems) == 100


def test_an_empty_data_set_is_a_problem(tmp_path: Path) -> None:
    for name, text in (("csv", "path,caption\n"), ("jsonl", ""), ("manifest", "")):
        path = tmp_path / f"empty.{name}"
        path.write_text(text)
        with pytest.raises(ManifestError, match=r"empty\.\w+: holds no item"):
            formats.read(name, path)


def test_all_fixtures_have_a_case() -> None:
    assert {made for made, *_ in CASES.values()} == set(MAKERS)
    assert len(PICTURES) == 4
