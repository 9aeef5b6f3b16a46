"""Walking, caption tables and sidecars: what is found, with which types, and what messages name."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossbit.errors import ManifestError
from crossbit.search.sidecars import Sidecars
from crossbit.search.tables import read_table
from crossbit.search.walk import walk
from search.fakes import paint


def rows(path: Path) -> list[tuple[str, list[str], dict]]:
    return [(name, texts.captions, texts.metadata) for _, name, texts in read_table(str(path), path.name).rows]


def problems(path: Path) -> list[str]:
    return read_table(str(path), path.name).problems


def test_csv_keeps_types(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text(
        "\ufefffilename,caption,count,ratio,code,day,seen,good,empty,note\n"
        'a.jpg,"one, two",3,0.5,007,2024-05-01,2024-05-01 12:30,true,,x\n'
        '"b ""c"".jpg",,-4,2,010,2023-01-31,2020-01-01T00:00:00,False,,"line\nbreak"\n',
        encoding="utf-8",
    )
    assert rows(path) == [
        ("a.jpg", ["one, two"], {
            "count": 3, "ratio": 0.5, "code": "007", "day": date(2024, 5, 1), "seen": datetime(2024, 5, 1, 12, 30),
            "good": True, "note": "x",
        }),
        ('b "c".jpg', [], {
            "count": -4, "ratio": 2.0, "code": "010", "day": date(2023, 1, 31), "seen": datetime(2020, 1, 1),
            "good": False, "note": "line\nbreak",
        }),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.tsv", "image\ttitle\na.jpg\thello, you\n"),
        ("captions.csv", "filepath;text\na.jpg;hello, you\n"),
        ("metadata.csv", "Path,Caption\n a.jpg ,\"hello, you\"\n"),
        ("captions.jsonl", '\n{"file_name": "a.jpg", "captions": ["hello, you", ""]}\n'),
        ("captions.jsonl", '{"image": {"path": "a.jpg"}, "caption": {"text": "hello, you"}}\n'),
    ],
)  # fmt: skip
def test_shapes_of_tables(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert rows(tmp_path / name) == [("a.jpg", ["hello, you"], {})]


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "metadata.parquet"
    table = {"path": ["a.jpg", "b.jpg"], "caption": [["x", "y"], None], "n": [1, None], "day": [date(2020, 1, 1)] * 2}
    pq.write_table(pa.table({**table, "image_bytes": [b"1", b"2"]}), path)
    assert rows(path) == [
        ("a.jpg", ["x", "y"], {"n": 1, "day": date(2020, 1, 1)}),
        ("b.jpg", [], {"day": date(2020, 1, 1)}),
    ]
    path.write_bytes(b"PAR1 no")
    with pytest.raises(ManifestError, match="metadata.parquet: not a Parquet file"):
        rows(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,caption\na.jpg,x,y\n", "captions.csv:2: has 3 cells, expected 2 as in the header"),
        ("path,caption\n,x\n", "captions.csv:2: has fields ['caption'], expected one of"),
        ('path,caption\na.jpg,x\nb.jpg,"open\nend', "captions.csv:3: unexpected end of data"),
    ],
)
def test_wrong_lines_of_csv(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "captions.csv"
    path.write_text(text)
    assert problems(path)[0].startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"path": 3}', "captions.jsonl:1: field 'path' is 3, expected the path of a picture"),
        ('{"path": "a.jpg", "caption": 5}', "captions.jsonl:1: field 'caption' is a int, expected text or a list"),
        ("{", "captions.jsonl:1: not JSON"),
        ("[1]", "captions.jsonl:1: found a list, expected an object"),
        ("[" * 100_000, "captions.jsonl:1: not JSON"),
    ],
)
def test_wrong_lines_of_jsonl(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text('{"path": "good.jpg"}\n'.replace("good", "x") * 0 + text + '\n{"path": "good.jpg"}\n')
    assert problems(path)[0].startswith(message)
    assert rows(path) == [("good.jpg", [], {})]  # the other lines are used


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text("name,caption\nx,y\n")
    with pytest.raises(
        ManifestError, match=r"captions.csv:1: has columns \['name', 'caption'\], expected one of \['path'"
    ):
        rows(path)
    path.write_bytes(b"path,caption\na.jpg,caf\xe9\n")
    with pytest.raises(ManifestError, match="captions.csv: byte 0xe9 is not UTF-8"):
        rows(path)
    path.write_text("")
    assert rows(path) == []


def said(root: Path) -> tuple[dict[str, tuple[list[str], dict]], list[str]]:
    walked = walk(root)
    sidecars = Sidecars(walked)
    found, broken = {}, [one.reason for one in sidecars.problems]
    for picture in walked.pictures:
        texts, wrong = sidecars.read(picture)
        found[os.fsdecode(picture.key)] = (texts.captions, texts.metadata)
        broken.extend(one.reason for one in wrong)
    return found, broken


def test_everything_about_one_picture(tmp_path: Path) -> None:
    paint(tmp_path / "sub" / "a.png")
    paint(tmp_path / "sub" / "A2.PNG")
    (tmp_path / "captions.csv").write_text(
        "path,caption,from\n./sub/a.png,of the table,root\nsub\\A2.PNG,windows,root\n"
    )
    (tmp_path / "sub" / "captions.tsv").write_text(
        f"file\tcaption\tfrom\na.png\tof the folder\tsub\n{tmp_path}/sub/A2.PNG\tabsolute\tsub\n"
    )
    (tmp_path / "sub" / "a.txt").write_text("of the text\nof the table\n")
    (tmp_path / "sub" / "a.json").write_text('{"caption": "of the object", "from": "json", "day": "2024-01-31"}')
    found, broken = said(tmp_path)
    assert not broken
    assert found["sub/a.png"] == (
        ["of the table", "of the folder", "of the text", "of the object"],
        {"from": "json", "day": date(2024, 1, 31)},
    )
    assert found["sub/A2.PNG"] == (["windows", "absolute"], {"from": "sub"})


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"fine\nna\xefve\n", "a.txt:2: byte 0xef is not UTF-8"),
        ("a.json", b'{"caption":\n 1,}', "a.json:2: not JSON"),
        ("a.json", b"[]", "a.json: found a list, expected an object"),
        ("a.json", b'{"title": 5}', "a.json: field 'title' is a int, expected text"),
        ("a.json", b"[" * 100_000, "a.json: too many brackets"),
        ("a.txt", b"x" * (2 << 20), "a.txt: larger than 1 MB"),
        (
            "a.txt",
            b"".join(b"line %d\n" % n for n in range(1500)),
            "a.txt: 1,500 captions of one picture, kept the first 1,000",
        ),
    ],
)
def test_broken_sidecars(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    paint(tmp_path / "a.png")
    (tmp_path / name).write_bytes(data)
    found, broken = said(tmp_path)
    assert list(found) == ["a.png"]
    assert len(broken) == 1
    assert broken[0].startswith(message)


def test_a_table_with_too_much_for_one_picture(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    (tmp_path / "captions.csv").write_text(
        "path,caption\n" + "".join(f"a.png,c{n}\n" for n in range(1200)) + "b.png,x\n"
    )
    found, broken = said(tmp_path)
    assert len(found["a.png"][0]) == 1000
    assert broken == ["captions.csv:1202: names 'b.png', no such picture below the folder (and 1 more)"]


def test_walk(tmp_path: Path) -> None:
    root = tmp_path / "root"
    paint(root / "z.png")
    paint(root / "d" / "e" / "f" / "x.JPEG")
    paint(root / ".hidden" / "x.png")
    paint(root / "._z.png")
    paint(root / "skipped" / "x.png")
    paint(root / "other" / "x.png")
    (root / "other" / "meta.json").write_text("{}")
    (root / "other" / "head.json").write_text("{}")
    paint(root / "folder.jpg" / "in.png")
    paint(tmp_path / "outside" / "o.png")
    (root / "to_outside").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    (root / "d" / "up").symlink_to("..")
    (root / "self.png").symlink_to("self.png")
    (root / "nowhere.gif").symlink_to("nothing")
    (root / "alias.png").symlink_to("z.png")
    os.mkfifo(root / "pipe.bmp")
    (root / "notes.txt").write_text("")
    (root / "CAPTIONS.csv").write_text("path\n")
    walked = walk(root, skip=[root / "skipped"])
    assert [os.fsdecode(picture.key) for picture in walked.pictures] == [
        "alias.png", "d/e/f/x.JPEG", "folder.jpg/in.png", "to_outside/o.png", "z.png"
    ]  # fmt: skip
    assert {broken.path: broken.reason for broken in walked.broken} == {
        "folder.jpg": "a folder with the name of a picture",
        "self.png": "a link that leads to itself",
        "nowhere.gif": "a link that leads nowhere",
        "pipe.bmp": "not a regular file",
    }
    assert walked.tables == [b"CAPTIONS.csv"]
    assert walked.closed == []


def test_real_folders_come_before_links(tmp_path: Path) -> None:
    paint(tmp_path / "z_real" / "x.png")
    (tmp_path / "a_link").symlink_to("z_real")
    assert [picture.key for picture in walk(tmp_path).pictures] == [b"z_real/x.png"]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    paint(tmp_path / "x.png")
    os.rename(os.fsencode(tmp_path / "x.png"), os.fsencode(tmp_path) + b"/caf\xe9.png")
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "w") as file:
        file.write("coffee")
    found, broken = said(tmp_path)
    assert not broken
    assert found == {os.fsdecode(b"caf\xe9.png"): (["coffee"], {})}
