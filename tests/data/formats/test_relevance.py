"""ECCV Caption and CxC: read beside COCO, and measured by hand and against a slow twin of their definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.data import formats
from crossbit.data.manifest import Manifest
from crossbit.errors import ManifestError
from crossbit.evaluation import protocol_of
from crossbit.evaluation.measure import measure
from crossbit.metrics import Relevance
from data.formats import made_benchmarks as made


def read(name: str, path: Path, **options: Any) -> Manifest:
    return formats.read(name, path, counts=False, **options)


def problems(name: str, path: Path, **options: Any) -> list[tuple[str, str]]:
    found = formats.validate(name, path, media_files=False, **{"counts": False, **options}).problems
    return [(Path(problem.where).name, problem.message) for problem in found]


def lists(relevant: Relevance) -> list[list[int]]:
    part = relevant.block(0, relevant.queries)
    return [part.items[a:b].tolist() for a, b in zip(part.offsets, part.offsets[1:], strict=False)]


def test_eccv_says_who_asks_and_what_answers(tmp_path: Path) -> None:
    manifest = read("eccv", made.eccv(tmp_path))
    assert [item.metadata["cocoid"] for item in manifest] == [10, 20, 30]  # the test pictures, not the one to train on
    first, second, third = (item.metadata for item in manifest)
    assert first["relevant_captions"] == [300, 100, 103]
    assert "relevant_captions" not in second
    assert "relevant_images" not in first
    assert second["relevant_images"] == [[20, 10], None, None, None, None]
    assert third["relevant_images"] == [None, None, None, None, [30]]


def test_cxc_takes_pairs_rated_three_or_more(tmp_path: Path) -> None:
    path = made.cxc(tmp_path)
    manifest = read("cxc", path)
    assert [item.metadata["relevant_captions"] for item in manifest] == [
        [100, 101, 102, 103, 200],  # not its own 104, but 200
        [200, 201, 202, 203, 204],
        [300, 301, 302, 303, 304],
    ]
    assert manifest.items[0].metadata["relevant_images"] == [[10], [10], [10], [10], None, None]
    assert manifest.items[1].metadata["relevant_images"][0] == [20, 10]
    strict = read("cxc", path / "data" / "sits_test.csv", threshold=3.5, coco=path / "dataset_coco.json")
    assert strict.items[0].metadata["relevant_captions"] == [100, 101, 102, 103]


def test_the_protocol_asks_whom_the_annotators_asked(tmp_path: Path) -> None:
    plan = protocol_of("annotated").plan(read("eccv", made.eccv(tmp_path)), "test")
    (case,) = plan.cases
    assert [plan.texts[row] for row in case.texts][:6] == [*(f"caption {n}" for n in range(100, 105)), "caption 200"]
    assert lists(case.image_to_text) == [[0, 3, 10], [], []]  # 100, 103 and 300 among fifteen
    assert lists(case.text_to_image) == [[]] * 5 + [[0, 1]] + [[]] * 8 + [[2]]
    assert not case.mirrors  # neither direction can be told from the other


def test_measures_by_hand(tmp_path: Path) -> None:
    plan = protocol_of("annotated").plan(read("eccv", made.eccv(tmp_path)), "test")
    texts = {text: np.zeros(3) for text in plan.texts}
    # picture 10 is (1, 0, 0): caption 300 comes first, then a wrong one, then 100; 103 is far behind
    texts |= {
        "caption 300": np.array([0.9, 0, 0]),
        "caption 201": np.array([0.8, 0, 0]),
        "caption 100": np.array([0.7, 0, 0]),
    }
    # caption 200 finds 20, then 30, then 10; caption 304 finds 10 before 30
    texts |= {"caption 200": np.array([0.1, 0.6, 0.3]), "caption 304": np.array([0.4, 0, 0.2])}
    found = measure(plan.cases, np.eye(3), np.stack([texts[text] for text in plan.texts]), plan.protocol).metrics["en"]
    # R = 3: hits at 1 and 3, so mAP@R = (1/1 + 2/3) / 3 and R-precision 2/3
    assert found["image_to_text"]["map_at_r"] == pytest.approx(100 * (1 + 2 / 3) / 3)
    assert found["image_to_text"]["r_precision"] == pytest.approx(100 * 2 / 3)
    assert found["image_to_text"]["recall_at_1"] == 100
    # caption 200, R = 2: a hit at 1 alone, 1/2; caption 304, R = 1: none
    assert found["text_to_image"]["map_at_r"] == pytest.approx(100 * (1 / 2 + 0) / 2)
    assert found["text_to_image"]["recall_at_1"] == 50


def twin(ranking: list[int], relevant: list[int]) -> tuple[float, float, float]:
    """mAP@R, R-precision and R@1 of one query, in the words of the paper."""
    size = len(relevant)
    hits = [number in relevant for number in ranking[:size]]
    precisions = [sum(hits[: place + 1]) / (place + 1) for place in range(size)]
    return sum(p for p, hit in zip(precisions, hits, strict=True) if hit) / size, sum(hits) / size, float(hits[0])


def test_measures_agree_with_a_slow_twin(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    path = made.eccv(tmp_path)
    pictures, captions = list(made.COCO), [n for numbers in made.COCO.values() for n in numbers[:5]]

    def some(numbers: list[int]) -> list[int]:
        return [int(n) for n in chance.choice(numbers, chance.integers(1, len(numbers)), replace=False)]

    asked = {
        "image_to_text": {p: some(captions) for p in pictures},
        "text_to_image": {c: some(pictures) for c in captions[::2]},
    }
    made.save(path / "eccv_image_to_caption.json", asked["image_to_text"])
    made.save(path / "eccv_caption_to_image.json", asked["text_to_image"])
    plan = protocol_of("annotated").plan(read("eccv", path), "test")
    images, texts = chance.standard_normal((3, 4)), chance.standard_normal((len(plan.texts), 4))
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    found = measure(plan.cases, images, texts, plan.protocol).metrics["en"]
    numbers = [int(text.split()[1]) for text in plan.texts]
    similarity = images @ texts.T
    for direction, rows, columns, table in (
        ("image_to_text", pictures, numbers, similarity),
        ("text_to_image", numbers, pictures, similarity.T),
    ):
        values = [
            twin([columns[column] for column in np.argsort(-table[row])], asked[direction][number])
            for row, number in enumerate(rows)
            if number in asked[direction]
        ]
        expected = 100 * np.mean(values, axis=0)
        got = [found[direction][name] for name in ("map_at_r", "r_precision", "recall_at_1")]
        np.testing.assert_allclose(got, expected)


def test_what_was_read_can_be_written_and_evaluated(tmp_path: Path) -> None:
    manifest = read("eccv", made.eccv(tmp_path))
    manifest.write(tmp_path / "eccv.jsonl")
    again = Manifest.read(tmp_path / "eccv.jsonl")
    assert again.items == manifest.items
    case = protocol_of("annotated").plan(again, "test").cases[0]
    assert lists(case.image_to_text) == [[0, 3, 10], [], []]


def test_data_without_annotations_are_refused(tmp_path: Path) -> None:
    plain = formats.read("karpathy", made.karpathy_coco(tmp_path / "dataset_coco.json"), counts=False)
    with pytest.raises(ManifestError, match="no item has relevant_captions in its metadata"):
        protocol_of("annotated").plan(plain, "test")


def test_faults_are_named(tmp_path: Path) -> None:
    path = made.eccv(tmp_path)
    made.save(path / "eccv_image_to_caption.json", {"10": [100, 999], "20": [], "x": [1], "30": [300, 300]})
    made.save(path / "eccv_caption_to_image.json", {"200": [20, 77]})
    assert problems("eccv", path) == [
        ("eccv_image_to_caption.json", "'20': [], expected a number and a list of other numbers, each once"),
        ("eccv_image_to_caption.json", "'x': [1], expected a number and a list of other numbers, each once"),
        ("eccv_image_to_caption.json", "'30': [300, 300], expected a number and a list of other numbers, each once"),
        (path.name, "1 pictures are not in split 'test' of dataset_coco.json, the first 77"),
        (path.name, "1 captions are not in split 'test' of dataset_coco.json, the first 999"),
    ]
    table = made.cxc(tmp_path) / "data" / "sits_test.csv"
    with table.open("a") as file:
        file.write(
            "COCO_val2014:sentid:100,COCO_val2014_000000000010.jpg,5,x\nnone,COCO_val2014_000000000010.jpg,9,x\n"
        )
    assert problems("cxc", tmp_path) == [
        ("sits_test.csv:19", "caption 100 and picture 10 are rated twice, first on line 2"),
        (
            "sits_test.csv:20",
            "'none', 'COCO_val2014_000000000010.jpg', '9': expected caption, picture and a rating from 0 to 5",
        ),
    ]


def test_coco_is_needed_and_numbers_are_counted(tmp_path: Path) -> None:
    path = made.eccv(tmp_path)
    said = [message for _, message in problems("eccv", path, counts=True)]
    assert "pictures that ask: 1, expected 1,261, as published" in said
    assert "their captions: 3, expected 22,550, as published" in said
    (path / "dataset_coco.json").unlink()
    with pytest.raises(ManifestError, match=r"dataset_coco\.json: no such file") as raised:
        read("eccv", path)
    assert "coco=FILE" in raised.value.hint


def test_a_row_of_numbers_that_is_too_short_is_named(tmp_path: Path) -> None:
    path = made.eccv(tmp_path)
    data = json.loads((path / "dataset_coco.json").read_text())
    del data["images"][0]["sentences"][2]["sentid"]
    made.save(path / "dataset_coco.json", data)
    with pytest.raises(ManifestError, match="sentids are not a number for each of its 6 captions"):
        protocol_of("annotated").plan(read("eccv", path), "test")
