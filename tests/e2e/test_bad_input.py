"""Bad input: each case ends in one sentence that names the culprit and what to do, with its exit code, and nothing is lost."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import crossbit, process, sentence

LONG = "word " * 10_000


def picture(path: Path, colour: str = "red", edge: int = 48) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (edge, edge), colour).save(path)
    return path


def one_colour_png(path: Path, edge: int) -> None:
    """Write a huge black picture of one bit a pixel; decoded to RGB it has three bytes a pixel like any other."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + bytes(edge // 8)) * edge, 1)
    head = struct.pack(">IIBBBBB", edge, edge, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good pictures among everything that can be wrong with a file, indexed by one run."""
    folder = tmp_path_factory.mktemp("everything")
    good = picture(folder / "good.png")
    picture(folder / os.fsdecode(b"caf\xe9.png"), "green")
    picture(folder / "one.png", "blue", edge=1)
    (folder / "zero.jpg").touch()
    (folder / "cut.png").write_bytes(good.read_bytes()[:60])
    (folder / "text.jpg").write_text("hello")
    (folder / "folder.jpg").mkdir()
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "deep").mkdir()
    (folder / "deep" / "up").symlink_to("..")
    one_colour_png(folder / "huge.png", 20_000)
    done = process("index", folder)
    assert (done.code, sentence(done)[:6]) == (0, "model:")
    assert done.out.startswith("3 added")
    assert "7 files could not be used" in done.out
    return folder


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("zero.jpg", "the file is empty"),
        ("cut.png", "damaged"),
        ("text.jpg", "of no known format"),
        ("folder.jpg", "a folder with the name of a picture"),
        ("broken.jpg", "a link that leads nowhere"),
        ("itself.png", "a link that leads to itself"),
        ("huge.png", "400,000,000 pixels, expected at most 200,000,000"),
    ],
)
def test_a_file_that_cannot_be_used_is_quarantined_with_its_reason(indexed: Path, name: str, reason: str) -> None:
    listed = dict(line.split("\t") for line in crossbit("collection", "quarantine", indexed).out.splitlines()[1:])
    assert reason in listed[name]
    assert len(listed) == 7


def test_good_pictures_beside_them_are_found_once(indexed: Path) -> None:
    done = crossbit("search", "red", "-c", indexed, "-0")
    assert done.code == 0
    names = [Path(os.fsdecode(path)).name for path in done.raw.split(b"\0")[:-1]]
    assert sorted(names, key=os.fsencode) == [os.fsdecode(b"caf\xe9.png"), "good.png", "one.png"]


def test_a_name_that_is_not_utf8_comes_through_every_output(indexed: Path, tmp_path: Path) -> None:
    raw = os.fsencode(indexed) + b"/caf\xe9.png"
    assert raw + b"\n" in crossbit("search", "x", "-c", indexed, "--paths").raw
    assert r"caf\xe9.png" in crossbit("search", "x", "-c", indexed).out
    assert r"caf\udce9.png" in crossbit("search", "x", "-c", indexed, "--json").out
    page = tmp_path / "page.html"
    assert crossbit("search", "x", "-c", indexed, "--html", page).code == 0
    assert r"caf\xe9.png" in page.read_text(encoding="utf-8")
    assert crossbit("search", "--image", os.fsdecode(raw), "-c", indexed, "-n", "1", "--paths").raw == raw + b"\n"


def test_a_picture_of_400_million_pixels_costs_no_memory(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    picture(tmp_path / "small" / "good.png")
    assert process("index", tmp_path / "small").code == 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # what a picture costs that is not huge
    one_colour_png(tmp_path / "huge.png", 20_000)
    shutil.rmtree(tmp_path / "small")
    done = process("index", tmp_path)
    assert done.code == 1
    assert "huge.png: 20000 x 20000 = 400,000,000 pixels" in done.out
    assert "--max-pixels N --retry" in sentence(done)
    assert "none of its pictures could be used" in done.err
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert after <= before + 100_000  # kB; decoded it has 1,200,000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_and_folder(tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    picture(tmp_path / "closed.png").chmod(0)
    picture(tmp_path / "closed" / "inside.png").parent.chmod(0)
    try:
        done = crossbit("index", tmp_path)
        assert done.code == 0
        assert "closed.png: no permission to read it" in done.out
        assert "closed: the folder cannot be read" in done.out
    finally:
        (tmp_path / "closed").chmod(0o700)


@pytest.mark.parametrize(("kind", "code"), [("empty", 1), ("texts", 1), ("missing", 2), ("file", 2)])
def test_a_folder_without_pictures(tmp_path: Path, kind: str, code: int) -> None:
    folder = tmp_path / kind
    if kind in ("empty", "texts"):
        folder.mkdir()
    if kind == "texts":
        (folder / "a.txt").write_text("words")
    if kind == "file":
        folder.write_text("no folder")
    done = crossbit("index", folder)
    assert done.code == code
    assert str(folder) in sentence(done)
    assert "expected" in done.err
    if folder.is_dir():
        assert not (folder / ".crossbit").exists()


def test_a_folder_whose_pictures_are_all_gone_keeps_its_collection(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert crossbit("index", tmp_path).code == 0
    (tmp_path / "a.png").rename(tmp_path / "a.hidden")
    for words in (["index", tmp_path], ["index", tmp_path, "--rebuild"]):
        done = crossbit(*words)
        assert done.code in (1, 3)
        assert str(tmp_path) in sentence(done)
    (tmp_path / "a.hidden").rename(tmp_path / "a.png")
    assert crossbit("search", "x", "-c", tmp_path, "--paths").out == f"{tmp_path / 'a.png'}\n"


@pytest.mark.parametrize("words", [[], [""], ["  "], ["", " "]])
def test_an_empty_query(indexed: Path, words: list[str]) -> None:
    done = crossbit("search", *words, "-c", indexed)
    assert done.code == 2
    assert "the query is empty" in sentence(done)


def test_a_query_of_ten_thousand_words(indexed: Path) -> None:
    refused = crossbit("search", LONG, "-c", indexed, "--on-long-text", "error")
    assert refused.code == 2
    assert "10,000 words" in sentence(refused)
    assert "--on-long-text truncate|chunk" in refused.err
    cut = process("search", LONG, "-c", indexed, "--on-long-text", "truncate", "--paths")
    assert (cut.code, len(cut.out.splitlines())) == (0, 3)
    assert "were cut" in sentence(cut)
    whole = crossbit("search", LONG, "-c", indexed, "--on-long-text", "chunk", "--paths")
    assert (whole.code, len(whole.out.splitlines())) == (0, 3)


@pytest.mark.parametrize(("number", "code", "lines"), [("0", 2, 0), ("-1", 2, 0), ("1", 0, 1), ("1000", 0, 3)])
def test_how_many(indexed: Path, number: str, code: int, lines: int) -> None:
    done = crossbit("search", "red", "-c", indexed, "-n", number, "--paths")
    assert (done.code, len(done.raw.splitlines())) == (code, lines)
    assert code == 0 or f"k is {number}, expected 1 or more" in sentence(done)


@pytest.mark.parametrize(
    ("words", "code", "culprit", "way_out"),
    [
        (["--where", "yeer > 3"], 2, "yeer", "fields are"),
        (["--where", "width >"], 2, "width >", "write conditions such as"),
        (["--image", "none.jpg"], 2, "none.jpg", "expected a picture"),
        (["--image", "{indexed}/text.jpg"], 3, "text.jpg", "expected JPEG"),
        (["--image", "{indexed}/good.png"], 2, "text and image", "expected one of"),
        (["--threshold", "2"], 1, "'red'", "--threshold"),
        (["--where", "width > 99999"], 1, "'red'", "--where"),
    ],
)
def test_options_that_cannot_be_used(indexed: Path, words: list[str], code: int, culprit: str, way_out: str) -> None:
    query = [] if words[-1].endswith("text.jpg") or words[-1] == "none.jpg" else ["red"]
    done = crossbit("search", *query, "-c", indexed, *(word.format(indexed=indexed) for word in words))
    assert done.code == code
    assert culprit in sentence(done)
    assert way_out in done.err


def test_no_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["search", "x"], ["collection", "info"], ["search", "x", "-c", "nowhere"]):
        done = crossbit(*words)
        assert done.code == 3
        assert "crossbit index" in sentence(done)


@pytest.mark.parametrize(
    ("words", "code", "culprit", "way_out"),
    [
        (["train", "fgchm"], 2, "fgchm", "did you mean 'fgcmh'?"),
        (["train"], 2, "no method", "crossbit methods"),
        (["train", "fgcmh", "epoch=3"], 2, "epoch", "did you mean `epochs`?"),
        (["train", "fgcmh", "epochs=many"], 2, "'many'", "a whole number"),
        (["train", "fgcmh", "--config", "none.yaml"], 2, "none.yaml", "expected a YAML file"),
        (["train", "fgcmh", "--data", "openmogi"], 3, "openmogi", "did you mean `openmoji`?"),
        (["index", "{indexed}", "--model", "nonesuch"], 2, "nonesuch", "conse"),
        (["evaluate", "nonesuch"], 2, "nonesuch", "crossbit train"),
        (["evaluate", "conse", "--data", "nonesuch"], 3, "nonesuch", "openmoji"),
        (["compare", "none.json"], 3, "none.json", "expected a result file"),
        (["collection", "delete", "nonesuch.png", "-c", "{indexed}"], 1, "nonesuch.png", "is in the collection"),
    ],
)
def test_names_that_do_not_exist(indexed: Path, words: list[str], code: int, culprit: str, way_out: str) -> None:
    done = crossbit(*(word.format(indexed=indexed) for word in words))
    assert done.code == code
    assert culprit in sentence(done)
    assert way_out in done.err


@pytest.fixture
def model(tmp_path: Path, cache: Path) -> Path:
    """A copy of a real model folder to damage."""
    import shutil

    from crossbit.model import Model

    made = Model.from_pretrained("conse").folder
    assert made is not None
    return Path(shutil.copytree(made, tmp_path / "model"))


@pytest.mark.parametrize("harm", ["half-written", "no config", "torn config", "corrupt weights", "newer"])
def test_a_damaged_model_folder_is_named_with_its_file(model: Path, indexed: Path, harm: str) -> None:
    weights, config = model / "model.safetensors", model / "config.json"
    if harm == "half-written":
        weights.unlink()
    elif harm == "no config":
        config.unlink()
    elif harm == "torn config":
        config.write_bytes(config.read_bytes()[:100])
    elif harm == "corrupt weights":
        data = bytearray(weights.read_bytes())
        data[len(data) // 2] ^= 0xFF
        weights.write_bytes(bytes(data))
    else:
        config.write_text(config.read_text().replace('"format": 1', '"format": 99'))
    done = crossbit("evaluate", model, "--languages", "en")
    assert done.code == 3
    assert str(model) in sentence(done)
    assert "hint: " in done.err


def test_another_model_is_refused_and_nothing_is_lost(model: Path, tmp_path: Path) -> None:
    import json

    config = model / "config.json"
    record = json.loads(config.read_text())
    config.write_text(json.dumps({**record, "name": "other", "fingerprint": "0123456789abcdef"}))
    folder = picture(tmp_path / "pictures" / "a.png").parent
    assert crossbit("index", folder).code == 0
    done = crossbit("index", folder, "--model", model)
    assert done.code == 3
    assert "0123456789abcdef" in sentence(done)
    assert "--rebuild" in done.err
    assert crossbit("search", "x", "-c", folder).code == 0
    assert crossbit("index", folder, "--model", model, "--rebuild").out.startswith("1 added")
    assert "other" in crossbit("collection", "info", folder).out


def test_a_damaged_collection_is_named_by_file(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert crossbit("index", tmp_path).code == 0
    assert "all as they were written" in crossbit("collection", "verify", tmp_path).out
    vectors = next((tmp_path / ".crossbit" / "segments").rglob("*vectors*"))
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 0xFF
    vectors.write_bytes(bytes(data))
    done = crossbit("collection", "verify", tmp_path)
    assert done.code == 3
    assert vectors.name in sentence(done)
    assert "collection repair" in done.err
    assert crossbit("index", tmp_path, "--rebuild").code == 0
    assert crossbit("collection", "verify", tmp_path).code == 0


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png")
    assert crossbit("index", tmp_path).code == 0
    picture(tmp_path / "b.png", "blue")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        done = crossbit("index", tmp_path)
    assert done.code == 3
    assert "no space left on the disk" in sentence(done)
    assert "run the same command again" in done.err
    assert crossbit("search", "x", "-c", tmp_path, "--paths").out == f"{tmp_path / 'a.png'}\n"
    assert crossbit("collection", "verify", tmp_path).code == 0
    assert crossbit("index", tmp_path).out.startswith("1 added, 1 unchanged")
    assert len(crossbit("search", "x", "-c", tmp_path, "--paths").out.splitlines()) == 2


def test_candidates_need_codes(tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    assert crossbit("index", tmp_path, "--model", "conse").code == 0
    done = crossbit("search", "red", "-c", tmp_path, "--candidates", "5")
    assert done.code == 2
    assert "candidates" in sentence(done)
    assert "leave it away" in done.err
