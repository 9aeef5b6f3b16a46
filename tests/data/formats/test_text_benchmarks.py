"""AudioCaps, Clotho, Multi30K, XTD10, Crossmodal-3600 and COCO-CN: values worked out by hand, and what is wrong named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossbit.data import formats
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError
from data.formats import made_benchmarks as made


def read(name: str, path: Path, **options: Any) -> Manifest:
    return formats.read(name, path, counts=False, **options)


def texts(item: Item) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for caption in item.captions:
        found.setdefault(caption.lang, []).append(caption.text)
    return found


def problems(name: str, path: Path, **options: Any) -> list[tuple[str, str]]:
    found = formats.validate(name, path, media_files=False, counts=False, **options).problems
    assert all(problem.remedy for problem in found)
    return [(Path(problem.where).name, problem.message) for problem in found]


# AudioCaps


def test_audiocaps_puts_the_sentences_of_a_clip_together(tmp_path: Path) -> None:
    manifest = read("audiocaps", made.audiocaps(tmp_path))
    assert [(item.id, item.split, len(item.captions)) for item in manifest] == [
        ("r1nicOVtvkQ_130", "train", 1),
        ("UDGBjjwyaqE_20", "train", 1),
        ("vfY_TJq7n_U_130", "val", 5),
        ("7fmOlUlwoNg_20", "test", 5),
    ]
    assert manifest.items[1].captions[0].text == "Clangs, and bangs"
    last = manifest.items[3]
    assert last.modality == "audio"
    assert last.metadata == {
        "youtube": "7fmOlUlwoNg",
        "url_start": 20,
        "url_end": 30,
        "audiocap_ids": [f"10354{k}" for k in range(5)],
    }


@pytest.mark.parametrize(
    "name", ["r1nicOVtvkQ.wav", "Yr1nicOVtvkQ.flac", "r1nicOVtvkQ_130.wav", "r1nicOVtvkQ_130_140.ogg", "91139.wav"]
)
def test_audiocaps_clips_are_found_under_the_names_in_use(tmp_path: Path, name: str) -> None:
    path = made.audiocaps(tmp_path / "lists")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / name).touch()
    assert read("audiocaps", path, media=tmp_path).items[0].path == f"train/{name}"


def test_audiocaps_one_table_is_one_split(tmp_path: Path) -> None:
    path = made.audiocaps(tmp_path)
    assert [item.split for item in read("audiocaps", path / "val.csv")] == ["val"]


def test_audiocaps_faults_are_named(tmp_path: Path) -> None:
    path = made.audiocaps(tmp_path)
    with (path / "train.csv").open("a") as file:
        file.write("91139,zzz,1,twice\n5,,1,no video\n6,abc,x,no second\n7,abc,1,\n8,abc\n")
    assert problems("audiocaps", path) == [
        ("train.csv:4", "audiocap_id '91139' stands twice, first on line 2"),
        ("train.csv:5", "youtube_id '' and start_time '1', expected a video and whole seconds"),
        ("train.csv:6", "youtube_id 'abc' and start_time 'x', expected a video and whole seconds"),
        ("train.csv:7", "clip '7': caption is empty, expected text"),
        ("train.csv:8", "2 cells, expected 4"),
    ]


# Clotho


def test_clotho_parts_are_splits_and_five_sentences(tmp_path: Path) -> None:
    path = made.clotho(tmp_path)
    manifest = read("clotho", path)
    assert [(item.id, item.split, item.path) for item in manifest] == [
        ("development/Rain development", "train", "development/Rain development.wav"),
        ("validation/Rain validation", "val", "validation/Rain validation.wav"),
        ("evaluation/Rain evaluation", "test", "evaluation/Rain evaluation.wav"),
        ("evaluation/Rain development", "test", "evaluation/Rain development.wav"),
    ]
    assert texts(manifest.items[0]) == {"en": ["one", "two", "three", "four", "five"]}
    assert texts(manifest.items[3]) == {"en": ["a, b", "c", "d", "e", "f"]}
    (only,) = read("clotho", path / "clotho_captions_validation.csv")
    assert only == manifest.items[1]


@pytest.mark.parametrize("place", ["development", "clotho_audio_development", "clotho_audio_files/development", "."])
def test_clotho_sounds_are_found_where_people_put_them(tmp_path: Path, place: str) -> None:
    path = made.clotho(tmp_path)
    (path / place).mkdir(parents=True, exist_ok=True)
    (path / place / "Rain development.wav").touch()
    if place == ".":  # then no two parts may have a sound of one name, and two of ours do
        (path / "clotho_captions_evaluation.csv").unlink()
    manifest = read("clotho", path)
    assert manifest.file(manifest.items[0]).is_file()


def test_clotho_faults_are_named(tmp_path: Path) -> None:
    path = made.clotho(tmp_path)
    with (path / "clotho_captions_validation.csv").open("a") as file:
        file.write("Rain validation.wav,a,b,c,d,e\nWind.wav,a,,c,d,e\n,a,b,c,d,e\n")
    assert problems("clotho", path) == [
        (
            "clotho_captions_validation.csv:3",
            "item 'validation/Rain validation' stands twice, first at clotho_captions_validation.csv:2",
        ),
        ("clotho_captions_validation.csv:4", "sound 'Wind.wav': caption is empty, expected text"),
        ("clotho_captions_validation.csv:5", "no file_name"),
    ]


# Multi30K


@pytest.mark.parametrize("below", [".", "data", "data/task1"])
def test_multi30k_lines_belong_to_pictures(tmp_path: Path, below: str) -> None:
    path = made.multi30k(tmp_path) / below
    manifest = read("multi30k", path)
    assert [(item.id, item.split) for item in manifest] == [
        ("11", "train"),
        ("12", "train"),
        ("21", "val"),
        ("31", "test"),
        ("COCO_val2014_000000398076", "test_2017_mscoco"),
    ]
    assert texts(manifest.items[1]) == {lang: [f"{lang} of 12.jpg"] for lang in ("en", "de", "fr")}
    last = manifest.items[4]
    assert texts(last) == {"en": ["en of coco"], "de": ["de of coco"]}
    assert last.path == "val2014/COCO_val2014_000000398076.jpg"
    assert last.metadata == {"sentid": 657409}


def test_multi30k_another_test_set_may_be_the_test_split(tmp_path: Path) -> None:
    manifest = read("multi30k", made.multi30k(tmp_path), test="2017_mscoco")
    assert {item.split for item in manifest} == {"train", "val", "test_2016_flickr", "test"}
    assert [item.id for item in manifest.select("test")] == ["COCO_val2014_000000398076"]


def test_multi30k_task_two_has_five_of_each(tmp_path: Path) -> None:
    manifest = read("multi30k", made.multi30k(tmp_path), task=2)
    assert [(item.id, item.split) for item in manifest] == [
        ("11", "train"),
        ("12", "train"),
        ("21", "val"),
        ("31", "test"),
    ]
    expected = {lang: [f"{lang} {k} of 12.jpg" for k in range(1, 6)] for lang in ("en", "de")}
    assert texts(manifest.items[1]) == expected


def test_multi30k_texts_of_another_length_are_named(tmp_path: Path) -> None:
    path = made.multi30k(tmp_path)
    raw = path / "data" / "task1" / "raw"
    made.text(raw / "train.de", "nur eine")
    made.text(raw / "val.fr", "une", "deux")
    (raw / "test_2016_flickr.en").write_bytes(b"caf\xe9\n")
    for lang in ("en", "de"):
        (raw / f"test_2017_mscoco.{lang}.gz").unlink()
    assert problems("multi30k", path) == [
        ("train.de:2", "1 lines, expected 2, one for each picture of train.txt"),
        ("val.fr:2", "2 lines, expected 1, one for each picture of val.txt"),
        ("test_2016_flickr.en:1", "byte 4 of the line (0xe9) is not UTF-8"),
        ("test_2016_flickr.en:1", "picture '31.jpg': caption is empty, expected text"),
        ("task1", "part 'test_2017_mscoco' lacks every text"),
    ]


# XTD10


def test_xtd10_gathers_the_languages_of_three_folders(tmp_path: Path) -> None:
    manifest = read("xtd10", made.xtd10(tmp_path))
    assert [texts(item) for item in manifest] == [
        {"en": ["a ball game"], "de": ["ein Ballspiel"], "ja": ["野球の試合"], "ko": ["야구 경기"]},
        {"en": ["a cat at a desk"], "de": ["eine Katze am Tisch"], "ja": ["机の上の猫"], "ko": ["고양이"]},
    ]
    assert [item.path for item in manifest] == [
        "train2014/COCO_train2014_000000061844.jpg",
        "val2014/COCO_val2014_000000000042.jpg",
    ]
    assert {item.split for item in manifest} == {"test"}


def test_xtd10_one_folder_will_do(tmp_path: Path) -> None:
    path = made.xtd10(tmp_path) / "XTD10"
    assert texts(read("xtd10", path).items[0]) == {"en": ["a ball game"], "ko": ["야구 경기"]}


def test_xtd10_two_files_of_one_language_are_named(tmp_path: Path) -> None:
    path = made.xtd10(tmp_path)
    made.text(path / "MIC" / "test_1kcaptions_en.txt", "a ball game", "a cat at a desk")
    assert problems("xtd10", path) == []  # the same captions, as in the original
    made.text(path / "MIC" / "test_1kcaptions_en.txt", "another", "one")
    made.text(path / "STAIR" / "test_1kcaptions_japanese.txt", "x", "y")
    assert problems("xtd10", path) == [
        (
            "test_1kcaptions_en.txt",
            f"other captions in 'en' than {path / 'XTD10' / 'test_1kcaptions_en.txt'}, which are taken",
        ),
        ("test_1kcaptions_japanese.txt", "the name says no language"),
    ]


# Crossmodal-3600


def test_xm3600_keeps_every_language(tmp_path: Path) -> None:
    path = made.xm3600(tmp_path)
    (path.parent / "images").mkdir()
    (path.parent / "images" / "00b2.jpg").touch()
    for given in (path, path.parent):
        first, second = read("xm3600", given)
        assert texts(first) == {"en": ["a market", "people buy"], "quz": ["qhatu"]}
        assert texts(second) == {"en": ["a church"], "he": ["כנסייה"]}
        assert (first.path, second.path) == ("00a1.jpg", "images/00b2.jpg")
        assert (first.split, first.metadata) == ("test", {"locale": "sw"})


def test_xm3600_faults_are_named(tmp_path: Path) -> None:
    path = made.xm3600(tmp_path)
    records: list[Any] = [
        {"image/key": "00a1", "en": {"caption": ["again"]}},
        {"image/key": "00c3", "image/locale": "en"},
        {"image/key": "00d4", "en": {"caption": "no list"}},
        {"image/locale": "en"},
        [1],
    ]
    with path.open("a") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records) + '{"image/key": "00')
    assert problems("xm3600", path) == [
        ("captions.jsonl:3", "item '00a1' stands twice, first at captions.jsonl:1"),
        ("captions.jsonl:4", "picture '00c3' has no caption"),
        ("captions.jsonl:5", "picture '00d4', en: field 'caption' is 'no list', expected list"),
        ("captions.jsonl:5", "picture '00d4' has no caption"),
        ("captions.jsonl:6", "the line: field 'image/key' is missing"),
        ("captions.jsonl:7", "the line: a list, expected an object"),
        ("captions.jsonl:8", "not JSON (Unterminated string starting at: line 1 column 15 (char 14))"),
    ]


def test_xm3600_missing_languages_are_counted(tmp_path: Path) -> None:
    found = formats.validate("xm3600", made.xm3600(tmp_path), media_files=False).problems
    published = "expected 3,600 items with 261,375 captions, as published"
    assert found[0].message == f"split 'test' holds 2 items with 5 captions, {published}"
    assert found[1].message.startswith("no captions in ar, bn, cs, da, de, el, es")
    assert found[1].message.endswith("expected 36 languages")


# COCO-CN


def test_coco_cn_written_and_translated(tmp_path: Path) -> None:
    path = made.coco_cn(tmp_path)
    assert [(item.id, item.split, texts(item)) for item in read("coco-cn", path)] == [
        ("COCO_train2014_000000000101", "train", {"zh": ["一只猫坐在沙发上"]}),
        ("COCO_train2014_000000000103", "val", {"zh": ["城市夜景", "夜晚的街道"]}),
        ("COCO_val2014_000000000104", "test", {"zh": ["两个人在骑马"]}),
    ]
    test = read("coco-cn", path, translated=True).items[2]
    assert [caption.kind for caption in test.captions] == ["caption"] + ["translation"] * 5
    assert test.path == "val2014/COCO_val2014_000000000104.jpg"


def test_coco_cn_faults_are_named(tmp_path: Path) -> None:
    path = made.coco_cn(tmp_path)
    with (path / "imageid.human-written-caption.txt").open("a", encoding="utf-8") as file:
        file.write("no tab\nCOCO_val2014_000000000104#1\t \nCOCO_val2014_000000000999#0\t陌生\n")
    with (path / "coco-cn_test.txt").open("a") as file:
        file.write("COCO_val2014_000000000105\nCOCO_train2014_000000000101\n")
    assert problems("coco-cn", path) == [
        ("coco-cn_test.txt:3", "'COCO_train2014_000000000101' lies in split 'train' too (coco-cn_train.txt:1)"),
        ("imageid.human-written-caption.txt:5", "'no tab', expected PICTURE#NUMBER, a tab and a sentence"),
        ("imageid.human-written-caption.txt:6", "picture 'COCO_val2014_000000000104': caption is empty, expected text"),
        ("coco-cn_test.txt:2", "picture 'COCO_val2014_000000000105' has no sentence"),
        ("imageid.human-written-caption.txt", "1 pictures lie in no list, the first 'COCO_val2014_000000000999'"),
    ]


def test_coco_cn_needs_its_lists(tmp_path: Path) -> None:
    path = made.coco_cn(tmp_path)
    for split in ("train", "val", "test"):
        (path / f"coco-cn_{split}.txt").unlink()
    with pytest.raises(ManifestError, match=r"coco-cn_train\.txt: no such file"):
        read("coco-cn", path)
