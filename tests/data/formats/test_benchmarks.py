"""Every published benchmark: told by looking, sound where it is, and counted."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from crossbit.data import formats
from crossbit.data.formats.faults import Notes
from crossbit.data.formats.published import Size, check_sizes, coco_path, records
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError, UsageError
from data.formats.made_benchmarks import MAKERS

GENERAL = {"manifest", "karpathy", "precomp", "folder", "csv", "tsv", "jsonl", "parquet", "webdataset", "hf"}


def test_every_benchmark_has_a_fixture() -> None:
    assert {name for name, _, _ in MAKERS.values()} == set(formats.READERS) - GENERAL


@pytest.mark.parametrize("made", MAKERS)
def test_a_benchmark_is_told_by_looking_and_is_sound(tmp_path: Path, made: str) -> None:
    name, maker, options = MAKERS[made]
    path = maker(tmp_path / "toy")
    assert formats.detect(path) == name
    report = formats.validate(name, path, media_files=False, counts=False, **options)
    assert report.problems == ()
    assert report.manifest is not None
    assert report.manifest.items


@pytest.mark.parametrize("made", MAKERS)
def test_another_number_than_published_is_a_problem_for_validation_and_a_warning_for_reading(
    tmp_path: Path, made: str, caplog: pytest.LogCaptureFixture
) -> None:
    name, maker, options = MAKERS[made]
    path = maker(tmp_path / "toy")
    problems = formats.validate(name, path, media_files=False, **options).problems
    assert problems
    assert all("as published" in problem.message or "36 languages" in problem.message for problem in problems)
    assert all("counts=false" in problem.remedy for problem in problems)
    with caplog.at_level(logging.WARNING):
        formats.read(name, path, **options)
    assert "as published" in caplog.text


def reads(name: str, path: Path, options: Mapping[str, Any]) -> bool:
    """Say whether reading comes to an end; all that may stop it is a fault of the data."""
    try:
        return bool(formats.read(name, path, counts=False, **options).items)
    except ManifestError:
        return False


TEXTS = [
    made for made in MAKERS if made not in ("eccv", "cxc") and not made.startswith(("mir", "nus", "iapr", "coco-h"))
]
"""`test_mat5.py` damages the others."""


@pytest.mark.parametrize("made", TEXTS)
def test_damage_is_named_or_harmless(tmp_path: Path, made: str) -> None:
    name, maker, options = MAKERS[made]
    path = maker(tmp_path / "toy")
    root = path if path.is_dir() else path.parent
    files = sorted(file for file in root.rglob("*") if file.is_file())
    whole = {file: file.read_bytes() for file in files}
    chance = random.Random(7)
    for trial in range(25):
        file = files[trial % len(files)]
        changed = bytearray(whole[file])
        at = chance.randrange(len(changed))
        if trial % 3 == 0:
            del changed[at:]
        elif trial % 3 == 1:
            del changed[at : at + chance.randint(1, 30)]
        else:
            for _ in range(3):
                changed[chance.randrange(len(changed))] = chance.choice(b'",[]{}0123456789\n\t\xff\x00#')
        file.write_bytes(changed)
        report = formats.validate(name, path, media_files=False, counts=False, **options)
        assert report.problems or report.manifest is not None
        assert report.problems or reads(name, path, options)
        file.write_bytes(whole[file])


@pytest.mark.parametrize(
    ("made", "file"),
    [
        ("msrvtt", "MSRVTT_data.json"),
        ("vatex", "vatex_training_v1.0.json"),
        ("didemo", "val_data.json"),
        ("activitynet", "train.json"),
        ("audiocaps", "test.csv"),
        ("clotho", "clotho_captions_validation.csv"),
    ],
)
def test_one_file_of_a_benchmark_is_told_too(tmp_path: Path, made: str, file: str) -> None:
    name, maker, options = MAKERS[made]
    path = maker(tmp_path / "toy") / file
    assert formats.detect(path) == name
    manifest = formats.read(name, path, counts=False, **options)
    assert manifest.items
    if made != "msrvtt":  # whose cut needs the table beside the file
        assert len({item.split for item in manifest}) == 1


def made_manifest(**splits: tuple[int, int]) -> Manifest:
    """Give so many items with so many captions in each split."""
    items = [
        Item(f"{split}{n}", "x.jpg", captions=(Caption("a"),) * captions, split=split)
        for split, (count, captions) in splits.items()
        for n in range(count)
    ]
    return Manifest("toy", Path(), tuple(items))


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"train": Size(2, 6)}, []),
        ({"train": Size(2)}, []),
        ({"train": (Size(9, 9), Size(2, 6))}, []),
        ({"test": Size(5)}, []),  # a split that is not there is not missed
        (
            {"train": Size(2, 7)},
            ["2 items with 6 captions, expected 2 items with 7 captions, as published"],
        ),
        (
            {"train": (Size(1), Size(3))},
            ["2 items with 6 captions, expected 1 items, or 3 items, as published"],
        ),
    ],
)
def test_sizes_are_compared_by_split(sizes: dict[str, Size | tuple[Size, ...]], said: list[str]) -> None:
    notes = Notes(limit=9)
    check_sizes(made_manifest(train=(2, 3)), Path("x"), notes, sizes, counts=True)
    assert [problem.message for problem in notes.problems] == [f"split 'train' holds {what}" for what in said]
    check_sizes(made_manifest(train=(2, 3)), Path("x"), notes, sizes, counts=False)
    assert len(notes.problems) == len(said)


def test_records_keep_line_numbers_over_quoted_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('name,text\na,"one\ntwo"\nb,three\nc,four,five\n\nd,six\n')
    notes = Notes(limit=9)
    assert [(line, row["name"], row["text"]) for line, row in records(path, notes, ("name", "text"))] == [
        (2, "a", "one\ntwo"),
        (4, "b", "three"),
        (7, "d", "six"),
    ]
    assert [(p.line, p.message) for p in notes.problems] == [(5, "3 cells, expected 2")]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,texts\na,b\n")
    with pytest.raises(ManifestError, match=r"a\.csv:1: no column 'text' among name, texts"):
        list(records(path, Notes(), ("name", "text")))


def test_pictures_of_coco_lie_in_their_part_or_right_there(tmp_path: Path) -> None:
    name = "COCO_val2014_000000000042.jpg"
    assert coco_path(name, tmp_path) == f"val2014/{name}"
    (tmp_path / name).touch()
    assert coco_path(name, tmp_path) == name
    assert coco_path("1000092795.jpg", tmp_path) == "1000092795.jpg"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("msrvtt", {"cut": "8k"}),
        ("didemo", {"unit": "second"}),
        ("activitynet", {"val": "val_3"}),
        ("vatex", {"languages": "de"}),
        ("multi30k", {"task": 3}),
        ("multi30k", {"test": "2019"}),
        ("cxc", {"split": "train"}),
    ],
)
def test_options_that_do_not_exist_are_named(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    path = MAKERS[name][1](tmp_path / "toy")
    (value,) = options.values()
    with pytest.raises(UsageError, match=f"is '?{value}'?, expected"):
        formats.read(name, path, counts=False, **options)


@pytest.mark.parametrize(
    "name", ["vatex", "didemo", "activitynet", "audiocaps", "clotho", "multi30k", "xtd10", "iaprtc12"]
)
def test_an_empty_folder_is_no_benchmark(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError, match=str(tmp_path)):
        formats.read(name, tmp_path)
