"""Tables: which column is what, the many ways in which captions and their languages stand, files without a header."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from crossbit.data import formats
from crossbit.data.formats.columns import Columns
from crossbit.data.manifest import Caption, Manifest
from crossbit.errors import ManifestError, UsageError


def table(tmp_path: Path, *rows: list[str], suffix: str = ".csv", delimiter: str = ",") -> Path:
    path = tmp_path / f"t{suffix}"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def texts(manifest: Manifest) -> list[list[tuple[str, str]]]:
    return [[(caption.lang, caption.text) for caption in item.captions] for item in manifest]


@pytest.mark.parametrize(
    ("names", "of", "captions", "others"),
    [
        (["image", "caption"], {"path": "image", "caption": "caption"}, [("caption", None)], []),
        (["ID", "File_Name", "Title"], {"id": "ID", "path": "File_Name", "caption": "Title"}, [("Title", None)], []),
        (
            ["file_name", "caption_1", "caption_2"],
            {"path": "file_name"},
            [("caption_1", None), ("caption_2", None)],
            [],
        ),
        (
            ["img", "text", "text_de", "text-pt-BR"],
            {"path": "img", "caption": "text"},
            [("text", None), ("text_de", "de"), ("text-pt-BR", "pt-BR")],
            [],
        ),
        (
            ["path", "caption", "year", "lang"],
            {"path": "path", "caption": "caption", "language": "lang"},
            [("caption", None)],
            ["year"],
        ),
        # what stands first in the list of names wins, the other is kept as metadata
        (["image", "file", "text"], {"path": "file", "caption": "text"}, [("text", None)], ["image"]),
        (["path", "title_page"], {"path": "path"}, [], ["title_page"]),
    ],
)
def test_columns_are_known_by_name(
    names: list[str], of: dict[str, str], captions: list[tuple[str, str | None]], others: list[str]
) -> None:
    found = Columns.guess(names, {}, "t.csv")
    assert (dict(found.of), list(found.captions), list(found.others)) == (of, captions, others)


def test_columns_are_chosen(tmp_path: Path) -> None:
    path = table(tmp_path, ["image", "file", "remark", "caption"], ["a.png", "b.png", "a dog", "IMG_1"])
    (item,) = formats.read("csv", path, columns="path=image, caption=remark")
    assert (item.path, item.captions) == ("a.png", (Caption("a dog"),))
    assert item.metadata == {"file": "b.png", "caption": "IMG_1"}
    assert formats.read("csv", path, columns={"path": "image", "caption": "remark"}).items[0] == item
    with pytest.raises(
        ManifestError, match=r"t\.csv: has no column 'img' for path, it has image, file, remark, caption"
    ):
        formats.read("csv", path, columns="path=img")
    with pytest.raises(UsageError, match="'pth' is nothing that a column can be") as raised:
        formats.read("csv", path, columns="pth=image")
    assert raised.value.hint == "did you mean `path`?"
    with pytest.raises(UsageError, match="'image' is no pair"):
        formats.read("csv", path, columns="image")


def test_rows_of_one_item_come_together_wherever_they_stand(tmp_path: Path) -> None:
    rows = [["a.png", "a dog", "en"], ["b.png", "a cat", "en"], ["a.png", "ein Hund", "de"], ["a.png", "a dog", ""]]
    manifest = formats.read("csv", table(tmp_path, ["path", "caption", "language"], *rows), language="fr")
    assert [item.id for item in manifest] == ["a.png", "b.png"]
    assert texts(manifest) == [[("en", "a dog"), ("de", "ein Hund"), ("fr", "a dog")], [("en", "a cat")]]


def test_rows_of_one_item_agree_or_are_listed(tmp_path: Path) -> None:
    head = ["path", "caption", "labels", "number", "year"]
    path = table(tmp_path, head, ["a.png", "a dog", "dog", "0", "9"], ["a.png", "a hound", "dog", "1", "9"])
    (item,) = formats.read("csv", path)
    assert item.metadata == {"number": ["0", "1"], "year": "9"}
    path = table(tmp_path, head, ["a.png", "a dog", "dog", "0", "9"], ["a.png", "a hound", "cat", "1", "9"])
    with pytest.raises(
        ManifestError, match=r"t\.csv:3: item 'a\.png' has labels \('cat',\), and \('dog',\) at t\.csv:2"
    ):
        formats.read("csv", path)


def test_languages_in_the_names_of_columns(tmp_path: Path) -> None:
    rows = [["a.png", "a dog", "ein Hund", ""], ["b.png", "a cat", "", "un chat"]]
    manifest = formats.read("csv", table(tmp_path, ["path", "caption_en", "caption_de", "caption_fr"], *rows))
    assert texts(manifest) == [[("en", "a dog"), ("de", "ein Hund")], [("en", "a cat"), ("fr", "un chat")]]


def test_a_list_stands_only_in_a_column_with_a_plural_name(tmp_path: Path) -> None:
    cell = '["a dog", "[sic]"]'
    plural = formats.read("csv", table(tmp_path, ["path", "captions"], ["a.png", cell]))
    assert texts(plural) == [[("en", "a dog"), ("en", "[sic]")]]
    assert texts(formats.read("csv", table(tmp_path, ["path", "caption"], ["a.png", cell]))) == [[("en", cell)]]


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"caption": "a dog"}, [("en", "a dog")]),
        ({"captions": ["a dog", "a cat"]}, [("en", "a dog"), ("en", "a cat")]),
        (
            {"captions": [{"text": "ein Hund", "lang": "de"}, {"caption": "a dog"}]},
            [("de", "ein Hund"), ("en", "a dog")],
        ),
        (
            {"captions": {"de": ["ein Hund", "noch einer"], "en": "a dog"}},
            [("de", "ein Hund"), ("de", "noch einer"), ("en", "a dog")],
        ),
        ({"caption": ["ein Hund", "a dog"], "language": ["de", "en"]}, [("de", "ein Hund"), ("en", "a dog")]),
        ({"caption": "ein Hund", "language": "de", "caption_fr": "un chien"}, [("de", "ein Hund"), ("fr", "un chien")]),
    ],
)
def test_captions_in_json(tmp_path: Path, record: dict[str, object], found: list[tuple[str, str]]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"file": "a.png", **record}))
    assert texts(formats.read("jsonl", path)) == [found]


def test_every_field_of_an_item(tmp_path: Path) -> None:
    names = ["id", "path", "caption", "kind", "split", "labels", "modality", "concept", "source", "license"]
    names += ["start", "end", "metadata", "year"]
    cells = [
        "1",
        "a.webp",
        "a dog",
        "name",
        "dev",
        "animal;dog ; ",
        "video",
        "dog",
        "here",
        "MIT",
        "0",
        "2.5",
        '{"a": [1]}',
        "9",
    ]
    (item,) = formats.read("csv", table(tmp_path, names, cells))
    assert item.captions == (Caption("a dog", "en", "name"),)
    assert (item.id, item.split, item.labels, item.modality) == ("1", "val", ("animal", "dog"), "video")
    assert (item.concept, item.source, item.licence) == ("dog", "here", "MIT")
    assert (item.start, item.end, item.metadata) == (0.0, 2.5, {"year": "9", "a": [1]})


@pytest.mark.parametrize(
    ("name", "cell", "said"),
    [
        ("end", "-1", "end is '-1', expected seconds"),
        ("start", "nan", "start is 'nan', expected seconds"),
        ("modality", "smell", "modality 'smell', expected one of"),
        ("metadata", "[1]", r"metadata is '\[1\]', expected a JSON object"),
    ],
)
def test_a_cell_that_does_not_fit(tmp_path: Path, name: str, cell: str, said: str) -> None:
    path = table(tmp_path, ["path", "caption", name], ["a.png", "a dog", cell])
    with pytest.raises(ManifestError, match=rf"t\.csv:2: item 'a\.png': {said}"):
        formats.read("csv", path)


def test_modality_is_told_by_the_suffix(tmp_path: Path) -> None:
    rows = [[name, "x"] for name in ("a.MP4", "b.flac", "c.jpeg", "d")]
    path = table(tmp_path, ["path", "caption"], *rows)
    assert [item.modality for item in formats.read("csv", path)] == ["video", "audio", "image", "image"]
    assert formats.read("csv", path, modality="audio").items[3].modality == "audio"
    with pytest.raises(UsageError, match="modality is 'smell', expected one of image, text, video, audio"):
        formats.read("csv", path, modality="smell")


def test_a_file_without_header_and_without_quotes(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('a "dog"\ta.png\n"a cat\tb.png\n')
    found = formats.read("tsv", path, header="caption,path", quotes=False, split="dev")
    assert texts(found) == [[("en", 'a "dog"')], [("en", '"a cat')]]
    assert {item.split for item in found} == {"dev"}


def test_another_delimiter(tmp_path: Path) -> None:
    path = table(tmp_path, ["path", "caption"], ["a.png", "a dog; running"], delimiter=";")
    with pytest.raises(ManifestError, match="no column is known for the media files") as raised:
        formats.read("csv", path)
    assert "delimiter=;" in raised.value.hint
    assert texts(formats.read("csv", path, delimiter=";")) == [[("en", "a dog; running")]]


def test_lines_are_counted_over_captions_of_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('path,caption\na.png,"one\ntwo\r\nthree"\n\nb.png,\n')
    (problem,) = formats.validate("csv", path, media_files=False).problems
    assert (problem.line, problem.message) == (6, "item 'b.png': caption is empty, expected text")
    assert texts(formats.read("csv", path, bare=True)) == [[("en", "one two three")], []]


def test_lines_of_json_need_not_have_the_same_fields(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"path": "a.png", "caption": "x"}\n\n{"path": "b.png", "text": "y", "year": 1}\n{"caption": "z"}\n'
    )
    (problem,) = formats.validate("jsonl", path, media_files=False).problems
    assert (problem.line, problem.message) == (4, "names no file")
    manifest = formats.read("jsonl", path, drop_faulty=True)
    assert texts(manifest) == [[("en", "x")], [("en", "y")]]
    assert manifest.items[1].metadata == {"year": 1}
