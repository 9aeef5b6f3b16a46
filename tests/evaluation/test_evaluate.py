"""evaluate against loops over all queries; what is encoded, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.codes import hamming_distances, pack
from crossbit.encoders.base import EncoderCard
from crossbit.errors import AbilityError, UsageError
from crossbit.evaluation import evaluate, evaluate_rows, protocol_of
from crossbit.features import Features, Modality
from crossbit.media.write import write_png
from evaluation import toys


def slow_ranks(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Rank of the best relevant item of each row, without ties."""
    return np.array(
        [1 + min((row > row[i]).sum() for i in np.flatnonzero(ok)) for row, ok in zip(scores, relevant, strict=True)]
    )


def test_numbers_agree_with_a_loop() -> None:
    data, model = toys.manifest(60), toys.ToyModel(noise=1.0)
    result = evaluate(model, data, progress=False)
    plan = protocol_of("concept-retrieval").plan(data, "test")
    images = model.encode("image", [item.path for item in plan.items]).embedding
    for case in plan.cases:
        texts = model.encode("text", [plan.texts[row] for row in case.texts]).embedding
        relevant = case.text_item[None, :] == np.arange(30)[:, None]
        forth, back = slow_ranks(images @ texts.T, relevant), slow_ranks(texts @ images.T, relevant.T)
        got = result.metrics[case.language]
        for side, ranks in (("image_to_text", forth), ("text_to_image", back)):
            assert got[side]["recall_at_5"] == pytest.approx(100 * np.mean(ranks <= 5))
            assert got[side]["median_rank"] == np.median(ranks)
            assert got[side]["mean_rank"] == pytest.approx(ranks.mean())
            np.testing.assert_array_equal(result.answers[case.language][side].first_rank, ranks)
        rsum = 100 * sum(np.mean(ranks <= k) for ranks in (forth, back) for k in (1, 5, 10))
        assert got["both"]["rsum"] == pytest.approx(rsum)
    both = [result.metrics[language]["both"]["rsum"] for language in ("en", "de")]
    assert result.rsum == pytest.approx(np.mean(both))


def test_pictures_are_encoded_once_for_all_languages() -> None:
    model = toys.ToyModel()
    result = evaluate(model, toys.manifest(40, (2,), ("en", "de", "ja")), progress=False)
    assert model.calls == [("image", 20), ("text", 20 * 3 * 2)]
    assert result.rsum == 600
    assert result.data["pictures"] == 20
    assert result.metrics["ja"]["text_to_image"]["queries"] == 40


def test_codes_are_compared_by_their_distance() -> None:
    data, model = toys.manifest(60), toys.ToyModel(noise=0.7, bits=20)
    result = evaluate(model, data, by="code", languages=["en"], progress=False)
    plan = protocol_of("concept-retrieval").plan(data, "test", ["en"])
    images = model.encode("image", [item.path for item in plan.items]).code
    texts = model.encode("text", plan.texts).code
    distances = hamming_distances(images, texts)
    owner = plan.cases[0].text_item
    hits = []
    for query in range(30):  # chance of a hit at 1 among those at the smallest distance
        nearest = np.flatnonzero(distances[query] == distances[query].min())
        hits.append(np.mean(owner[nearest] == query))
    assert result.metrics["en"]["image_to_text"]["recall_at_1"] == pytest.approx(100 * np.mean(hits))
    assert result.system == "toy model 20-bit code"
    assert result.model["width"] == 20


def test_an_asymmetric_comparison_cuts_only_what_is_searched_to_bits() -> None:
    data, model = toys.manifest(60), toys.ToyModel(noise=0.7, bits=20)
    result = evaluate(model, data, by="asymmetric", languages=["en"], progress=False)
    plan = protocol_of("concept-retrieval").plan(data, "test", ["en"])
    images = model.encode("image", [item.path for item in plan.items]).relaxed
    texts = model.encode("text", plan.texts).relaxed
    relevant = plan.cases[0].text_item[None, :] == np.arange(30)[:, None]
    asked = {
        "image_to_text": slow_ranks(images @ np.where(texts >= 0, 1.0, -1.0).T, relevant),
        "text_to_image": slow_ranks(texts @ np.where(images >= 0, 1.0, -1.0).T, relevant.T),
    }
    for side, ranks in asked.items():
        assert result.metrics["en"][side]["recall_at_1"] == pytest.approx(100 * np.mean(ranks == 1))
        assert result.metrics["en"][side]["mean_rank"] == pytest.approx(ranks.mean())
    assert result.system == "toy model 20-bit code, asked by relaxed queries"
    assert result.rsum > evaluate(model, data, by="code", languages=["en"], progress=False).rsum


def test_two_items_of_one_name_tie() -> None:
    """Both names get the very same row, so each text finds its own item in one order of two."""
    data = toys.manifest(8, captions=(1,), languages=("en",))
    items = [replace(item, captions=tuple(replace(c, text="en 0 0") for c in item.captions)) for item in data.items]
    model = toys.ToyModel()
    result = evaluate(model, replace(data, items=tuple(items)), progress=False)
    assert result.metrics["en"]["image_to_text"]["recall_at_1"] == pytest.approx(25)  # four equal captions
    assert result.metrics["en"]["text_to_image"]["recall_at_1"] == pytest.approx(25)  # all find item 0 first


def test_folds_are_averaged() -> None:
    data, model = toys.manifest(40), toys.ToyModel(noise=1.2)
    rules = protocol_of("coco-1k-folds", fold_items=4)
    result = evaluate(model, data, protocol=rules, languages=["en"], progress=False)
    parts = []
    tested = [item for item in data.items if item.split == "test"]
    for fold in range(5):
        part = replace(data, items=tuple(tested[4 * fold : 4 * fold + 4]))
        parts.append(evaluate(model, part, protocol="coco-5k", languages=["en"], progress=False).rsum)
    assert result.rsum == pytest.approx(np.mean(parts))
    assert len(result.answers["en"]["image_to_text"]) == 20


def test_hashing_protocol_measures_maps() -> None:
    result = evaluate(
        toys.ToyModel(noise=0.3, bits=16), toys.manifest(60), by="code", protocol="hashing", progress=False
    )
    got = result.metrics["en"]["image_to_text"]
    assert 0 < got["map_all"] < 100
    assert {"precision_within_radius_2", "empty_balls", "queries_without_relevant"} <= set(got)
    assert "map_at_50" not in got  # thirty items are searched
    both = [result.metrics["en"][side]["map_all"] for side in ("image_to_text", "text_to_image")]
    assert result.metrics["en"]["both"]["map_all"] == pytest.approx(np.mean(both))
    assert 100 * result.answers["en"]["image_to_text"].average_precision.mean() == pytest.approx(got["map_all"])


def test_rows_that_are_already_there() -> None:
    random = np.random.default_rng(0)
    images = random.standard_normal((30, 8)).astype(np.float32)
    owners = {"en": np.arange(60) // 2, "de": np.arange(30)}
    texts = {
        lang: images[own] + 0.5 * random.standard_normal((len(own), 8)).astype(np.float32)
        for lang, own in owners.items()
    }
    measured = evaluate_rows(images, texts, owners)
    for language, own in owners.items():
        ranks = slow_ranks(texts[language] @ images.T, own[:, None] == np.arange(30)[None, :])
        assert measured.metrics[language]["text_to_image"]["recall_at_1"] == pytest.approx(100 * np.mean(ranks == 1))
    codes = evaluate_rows(pack(images), {"en": pack(images)}, {"en": np.arange(30)}, bits=8)
    assert codes.metrics["en"]["both"]["rsum"] <= 600
    with pytest.raises(UsageError, match="expected the same languages"):
        evaluate_rows(images, texts, {"en": owners["en"]})


def test_other_ways_to_encode() -> None:
    """Cached features come in through `encode`; the model itself is not asked."""
    model, cached = toys.ToyModel(), toys.ToyModel()
    result = evaluate(model, toys.manifest(), encode=cached.encode, progress=False)
    assert model.calls == []
    assert [view for view, _ in cached.calls] == ["image", "text"]
    assert result.rsum == 600


class CountingEncoder:
    """Sees the red of a picture, or the second word of a text, and counts what it is given."""

    def __init__(self, modality: Modality) -> None:
        self.modality: Modality = modality
        self.seen = 0

    def describe(self) -> EncoderCard:
        return EncoderCard(f"counting-{self.modality}", self.modality, 2, 2, f"counting-{self.modality}")

    def prepare(self, media: Sequence[Any]) -> dict[str, np.ndarray]:
        values = [float(m[0, 0, 0]) if self.modality == "image" else 20.0 * int(m.split()[1]) for m in media]
        return {"value": np.array(values), "mask": np.ones((len(media), 1), bool)}

    def encode(self, inputs: Mapping[str, np.ndarray]) -> Features:
        self.seen += len(inputs["value"])
        angle = np.radians(inputs["value"] / 2)
        rows = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
        return Features(self.modality, rows[:, None], np.ones((len(rows), 1), bool), rows)


class HeadlessModel(toys.ToyModel):
    """Gives what its encoders say."""

    def encoder(self, view: str) -> CountingEncoder:
        return self.__dict__.setdefault(f"{view}_encoder", CountingEncoder("image" if view == "image" else "text"))

    def reads_tokens(self, view: str) -> bool:
        return view == "image"

    def rows(self, features: Features) -> toys.Rows:
        assert features.tokens.shape[1] == (1 if features.modality == "image" else 0)
        return toys.Rows(features.pooled, None)


def test_features_come_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    data = replace(toys.manifest(8), root=tmp_path)
    for number in range(0, 8, 2):
        write_png(np.full((4, 4, 3), 20 * number, np.uint8), tmp_path / f"t{number}.png")
    model = HeadlessModel()
    for _ in range(2):
        result = evaluate(model, data, cache=True, progress=False)
        assert result.rsum == 600
        assert (model.encoder("image").seen, model.encoder("text").seen) == (4, 16)
        assert model.calls == []
    assert result.model["features"] == "float16 cache"


def test_what_a_model_cannot_do_is_said() -> None:
    with pytest.raises(AbilityError, match="has no codes"):
        evaluate(toys.ToyModel(), toys.manifest(), by="code", progress=False)
    with pytest.raises(AbilityError, match="has no codes"):
        evaluate(toys.ToyModel(), toys.manifest(), by="asymmetric", progress=False)
    with pytest.raises(AbilityError, match="no embedding to compare\n\nhint: evaluate it by code"):
        evaluate(toys.ToyModel(dim=0, bits=8), toys.manifest(), progress=False)
