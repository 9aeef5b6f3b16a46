"""The page: well-formed, self-contained, escaped, each text in its own direction and language."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from crossbit.cli.sheet import Answer, Section, SheetTable, write_sheet

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects tags and texts, and fails when a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self.open:
            self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "red apple.png"
    Image.new("RGB", (600, 300), "red").save(path)
    return path


def page(tmp_path: Path, sections: list[Section], **settings: object) -> Page:
    path = write_sheet(tmp_path / "out" / "page.html", "Title", sections, **settings)  # type: ignore[arg-type]
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]
    return Page(path.read_text(encoding="utf-8"))


def test_a_ranked_picture_has_name_score_place_and_alternative_text(tmp_path: Path, picture: Path) -> None:
    answers = [Answer(picture, "a red apple", 0.8, "shelf/red apple.png", "colour: red"), Answer(picture, score=0.4)]
    found = page(tmp_path, [Section("red apple", answers, "en")])
    for text in ("red apple", "a red apple", "0.800", "0.400", "shelf/red apple.png", "colour: red", "1", "2"):
        assert text in found.texts
    assert [image["alt"] for image in found.all("img")] == ["a red apple", "red apple.png"]
    widths = [attrs["style"] for attrs in found.all("i")]
    assert widths == ["width:100%", "width:50%"]


def test_pictures_are_embedded_small_and_nothing_is_loaded(tmp_path: Path, picture: Path) -> None:
    found = page(tmp_path, [Section("x", [Answer(picture)], asked=picture)], edge=64)
    for image in found.all("img"):
        head, _, data = str(image["src"]).partition(";base64,")
        assert re.fullmatch(r"data:image/(png|jpeg|webp)", head)
        (tmp_path / "copy").write_bytes(base64.b64decode(data))
        with Image.open(tmp_path / "copy") as small:
            assert max(small.size) == 64
    assert all(
        "http" not in str(value) for _, attrs in found.tags for name, value in attrs.items() if name in ("src", "href")
    )
    assert found.all("link") == []
    assert found.all("script") == []
    policy = [meta["content"] for meta in found.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_texts_are_escaped(tmp_path: Path, picture: Path) -> None:
    evil = "<script>alert(\"1\")</script> & 'x'"
    answer = Answer(picture, evil, 1.0, evil, evil)
    found = page(
        tmp_path,
        [Section(evil, [answer], evil, evil, evil)],
        tables=[SheetTable(evil, [evil], [[evil, evil]], evil)],
        lead=evil,
        foot=evil,
    )
    assert found.all("script") == []
    # section: 4 (mark, question, note, translation); answer: 3; table: 5 (title, head, two cells, note); lead and foot
    assert found.texts.count(evil) == 14


def test_languages_and_directions(tmp_path: Path, picture: Path) -> None:
    found = page(tmp_path, [Section("تفاحة حمراء", [Answer(picture, "تفاحة")], "ar", "new", "red apple")])
    assert found.all("q") == [{"dir": "auto", "lang": "ar"}]
    assert found.all("b")[0]["dir"] == "auto"
    assert {"ar", "new", "red apple"} <= set(found.texts)
    assert found.all("html") == [{"lang": "en"}]


def test_right_answers_are_marked_for_eyes_and_ears(tmp_path: Path, picture: Path) -> None:
    found = page(tmp_path, [Section("x", [Answer(picture, right=True), Answer(picture, right=False), Answer(picture)])])
    assert [attrs.get("class") for attrs in found.all("li")] == ["right", None, None]
    assert found.texts.count("what was asked for") == 1


def test_a_picture_that_is_gone_keeps_its_line(tmp_path: Path, picture: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    found = page(tmp_path, [Section("x", [Answer(tmp_path / "gone.jpg"), Answer(broken), Answer(picture)])])
    assert len(found.all("img")) == 1
    assert [a["aria-label"] for a in found.all("div") if a.get("role") == "img"] == ["gone.jpg", "broken.jpg"]


def test_links_lead_to_the_file_only_where_asked(tmp_path: Path, picture: Path) -> None:
    found = page(tmp_path, [Section("x", [Answer(picture, link=True), Answer(picture)])])
    assert [attrs["href"] for attrs in found.all("a")] == [picture.as_uri()]
    assert "red%20apple.png" in picture.as_uri()


def test_tables_name_their_rows(tmp_path: Path) -> None:
    table = SheetTable("Measures", ["language", "R@1"], [["en", 31.2], ["ar", 29]], "three seeds")
    found = page(tmp_path, [], tables=[table], lead="lead", foot="one\ntwo")
    assert [attrs.get("scope") for attrs in found.all("th")] == ["col", "col", "row", "row"]
    assert {"Measures", "R@1", "31.2", "29", "three seeds", "lead", "one", "two"} <= set(found.texts)
    assert len(found.all("br")) == 1


def test_no_answer_and_scores_below_zero(tmp_path: Path, picture: Path) -> None:
    found = page(tmp_path, [Section("nothing", []), Section("", [Answer(picture, score=-0.5)])])
    assert "Nothing was found." in found.texts
    assert found.all("i")[0]["style"] == "width:0%"
    assert "Pictures like this one" in found.texts
