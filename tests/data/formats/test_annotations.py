"""Karpathy's JSON, SCAN's folders and folders of captions: what is particular to each."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossbit.data import formats
from crossbit.data.formats.precomp import rows
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError, UsageError
from data.formats.made import png


def coco(tmp_path: Path) -> Path:
    records = [
        {
            "filename": f"COCO_val2014_{n}.jpg",
            "filepath": "val2014",
            "cocoid": 100 + n,
            "imgid": n,
            "split": split,
            "sentids": [2 * n, 2 * n + 1],
            "sentences": [{"raw": f"caption {m}\n", "sentid": 2 * n + m} for m in range(2)],
        }
        for n, split in enumerate(("train", "restval", "val", "test"))
    ]
    path = tmp_path / "dataset_coco.json"
    path.write_text(json.dumps({"images": records, "dataset": "coco"}))
    return path


def test_restval_is_explicit(tmp_path: Path) -> None:
    path = coco(tmp_path)
    assert [item.split for item in formats.read("karpathy", path)] == ["train", "train", "val", "test"]
    assert [item.split for item in formats.read("karpathy", path, restval="drop")] == ["train", "val", "test"]
    assert [item.split for item in formats.read("karpathy", path, restval="keep")] == [
        "train",
        "restval",
        "val",
        "test",
    ]
    with pytest.raises(UsageError, match="restval is 'maybe', expected one of train, drop, keep"):
        formats.read("karpathy", path, restval="maybe")


def test_published_sizes_are_compared(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = coco(tmp_path)
    said = [problem.message for problem in formats.validate("karpathy", path, media_files=False).problems]
    assert said == [
        "split 'train' holds 2 items with 4 captions, expected 113,287 items with 566,747 captions, as published",
        "split 'val' holds 1 items with 2 captions, expected 5,000 items with 25,010 captions, as published",
        "split 'test' holds 1 items with 2 captions, expected 5,000 items with 25,010 captions, as published",
    ]
    kept = formats.validate("karpathy", path, media_files=False, restval="keep").problems
    assert "split 'restval' holds 1 items with 2 captions, expected 30,504 items" in kept[1].message
    assert formats.validate("karpathy", path, media_files=False, counts=False).problems == ()
    caplog.clear()
    assert len(formats.read("karpathy", path)) == 4  # part of a set can be read
    assert caplog.text.count("as published") == 3
    folder = regions(tmp_path, [5, 5], None).rename(tmp_path / "f30k_precomp")
    (problem,) = formats.validate("precomp", folder).problems
    assert "split 'val' holds 2 items with 10 captions, expected 1,014 items with 5,070" in problem.message


def test_coco_is_written_as_it_was_read(tmp_path: Path) -> None:
    path = coco(tmp_path)
    manifest = formats.read("karpathy", path, restval="keep")
    assert manifest.items[0].path == "val2014/COCO_val2014_0.jpg"
    assert manifest.items[0].captions[0].text == "caption 0"
    assert formats.write("karpathy", manifest, tmp_path / "out.json") == []
    before, after = (json.loads(p.read_text())["images"] for p in (path, tmp_path / "out.json"))
    for one, other in zip(before, after, strict=True):
        for name in ("filename", "filepath", "cocoid", "imgid", "split", "sentids"):
            assert one[name] == other[name]
        assert [s["raw"].strip() for s in one["sentences"]] == [s["raw"] for s in other["sentences"]]
        assert other["sentences"][0]["tokens"] == ["caption", "0"]


def regions(tmp_path: Path, captions: list[int], ids: list[str] | None, copies: bool = False) -> Path:
    """A part `dev` with so many captions an image; each image's row is its number."""
    table = np.arange(len(captions), dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)
    folder = tmp_path / "pre"
    folder.mkdir()
    np.save(folder / "dev_ims.npy", np.repeat(table, captions, axis=0) if copies else table)
    lines = [f"{n} {m}" for n, count in enumerate(captions) for m in range(count)]
    (folder / "dev_caps.txt").write_text("".join(line + "\n" for line in lines))
    if ids is not None:
        (folder / "dev_ids.txt").write_text("".join(line + "\n" for line in ids))
    return folder


@pytest.mark.parametrize(
    ("captions", "ids", "copies"),
    [
        ([5, 5, 5], None, False),  # as SCAN's own folders, a row an image
        ([5, 5, 5], None, True),  # or a row a caption
        ([2, 2], ["7", "8"], False),
        ([1, 3, 2], ["7", "8", "8", "8", "9", "9"], False),
        ([1, 3, 2], ["7", "8", "8", "8", "9", "9"], True),
        ([1, 3, 2], None, True),
        ([1, 1], ["7", "8"], False),
    ],
)
def test_any_number_of_captions_an_image(
    tmp_path: Path, captions: list[int], ids: list[str] | None, copies: bool
) -> None:
    manifest = formats.read("precomp", regions(tmp_path, captions, ids, copies))
    assert [[c.text for c in item.captions] for item in manifest] == [
        [f"{n} {m}" for m in range(count)] for n, count in enumerate(captions)
    ]
    np.testing.assert_array_equal(rows(manifest, manifest)[:, 0], range(len(captions)))
    if ids is not None:
        assert [item.id for item in manifest] == list(dict.fromkeys(ids))
    assert {item.split for item in manifest} == {"val"}


def test_numbers_that_do_not_fit_are_said(tmp_path: Path) -> None:
    folder = regions(tmp_path, [1, 3, 1], None)
    with pytest.raises(
        ManifestError, match=r"dev_caps\.txt:5: 5 captions for 3 rows of dev_ims\.npy, expected a multiple"
    ):
        formats.read("precomp", folder)
    with pytest.raises(UsageError, match="part 'valid', expected some of train, dev, test, testall"):
        formats.read("precomp", folder, parts="valid")


def test_what_is_no_array_of_numbers(tmp_path: Path) -> None:
    folder = regions(tmp_path, [5], None)
    file = folder / "dev_ims.npy"
    whole = file.read_bytes()
    for raw, said in (
        (whole.replace(b", }", b", ("), "no array of numbers that can be read"),
        (whole[:-1], "no array of numbers that can be read"),
        (b"", "no array of numbers that can be read"),
    ):
        file.write_bytes(raw)
        with pytest.raises(ManifestError, match=said):
            formats.read("precomp", folder)
    for array, said in ((np.ones(3), r"shape \(3,\)"), (np.array([["a"]]), "of numbers")):
        np.save(file, array)
        with pytest.raises(ManifestError, match=said):
            formats.read("precomp", folder)
    with file.open("wb") as opened:
        np.savez(opened, a=np.ones((2, 2)))
    with pytest.raises(ManifestError, match="an archive of arrays, expected one array"):
        formats.read("precomp", folder)


def test_testall_goes_before_its_part(tmp_path: Path) -> None:
    folder = regions(tmp_path, [5, 5], None)
    for name in ("ims.npy", "caps.txt"):
        for part in ("test", "testall"):
            (folder / f"{part}_{name}").write_bytes((folder / f"dev_{name}").read_bytes())
    assert {item.path for item in formats.read("precomp", folder)} == {"dev_ims.npy", "testall_ims.npy"}
    assert {item.path for item in formats.read("precomp", folder, parts=["test"])} == {"test_ims.npy"}


@pytest.mark.parametrize("repeat", [None, True, False])
@pytest.mark.parametrize("captions", [[5, 5], [1, 2]])
def test_regions_are_written_for_the_loaders_of_others(
    tmp_path: Path, captions: list[int], repeat: bool | None
) -> None:
    items = tuple(
        Item(f"i{n}", f"{n}.png", captions=tuple(Caption(f"{n} {m}") for m in range(count)), split="test")
        for n, count in enumerate(captions)
    )
    np.save(tmp_path / "f.npy", np.arange(2, dtype=np.float64)[:, None, None] * np.ones((1, 3, 4)))
    manifest = Manifest("toy", tmp_path, items)
    formats.write("precomp", manifest, tmp_path / "out", features=tmp_path / "f.npy", repeat=repeat)
    copies = repeat if repeat is not None else captions != [5, 5]
    written = np.load(tmp_path / "out" / "test_ims.npy", allow_pickle=False)
    assert written.shape == (sum(captions) if copies else 2, 3, 4)
    assert written.dtype == np.float32
    assert (tmp_path / "out" / "test_ids.txt").read_text().split() == [i.id for i in items for _ in i.captions]
    found = formats.read("precomp", tmp_path / "out")
    assert [[c.text for c in item.captions] for item in found] == [[c.text for c in item.captions] for item in items]


def test_what_regions_cannot_hold_is_refused(tmp_path: Path) -> None:
    item = Item("a", "a.png", captions=(Caption("x"),), split="query")
    for bad, said in (
        (item, "lies in split 'query'"),
        (replace(item, split="test", captions=()), "has no caption"),
        (replace(item, split="test"), "has no precomputed features"),
    ):
        with pytest.raises(ManifestError, match=said):
            formats.write("precomp", Manifest("toy", tmp_path, (bad,)), tmp_path / "out")
    np.save(tmp_path / "f.npy", np.ones((2, 3)))
    with pytest.raises(ManifestError, match="2 rows, expected 1"):
        formats.write("precomp", Manifest("toy", tmp_path, (item,)), tmp_path / "out", features=tmp_path / "f.npy")


def test_languages_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "cat.v2.png").write_bytes(png((1, 1, 1)))
    for name, text in (
        ("cat.v2.txt", "a cat\nanother\n"),
        ("cat.v2.de.txt", "eine Katze"),
        ("cat.v2.zh-Hant.txt", "貓"),
    ):
        (tmp_path / "train" / name).write_text(text)
    (tmp_path / "train" / ".hidden.txt").write_text("x")
    (tmp_path / "README.md").write_text("x")
    (item,) = formats.read("folder", tmp_path)
    assert (item.id, item.path, item.split) == ("train/cat.v2", "train/cat.v2.png", "train")
    assert [(c.lang, c.text) for c in item.captions] == [
        ("en", "a cat"),
        ("en", "another"),
        ("de", "eine Katze"),
        ("zh-Hant", "貓"),
    ]


def test_a_name_that_looks_like_a_language_is_written_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(png((1, 1, 1)))
    items = (
        Item("cat", "a.png", captions=(Caption("a cat"), Caption("Katze", "de"))),
        Item("cat.de", "b.png", captions=(Caption("cat of Germany"),)),
    )
    formats.write("folder", Manifest("toy", tmp_path, items), tmp_path / "out")
    found = {item.id: [(c.lang, c.text) for c in item.captions] for item in formats.read("folder", tmp_path / "out")}
    assert found == {"cat": [("en", "a cat"), ("de", "Katze")], "cat%2Ede": [("en", "cat of Germany")]}
