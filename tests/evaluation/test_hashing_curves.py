"""Curves of the hashing protocol in results: against loops over lists in order, and through a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossbit.codes import hamming_distances
from crossbit.evaluation import evaluate, protocol_of
from crossbit.evaluation.measure import _radius_curve
from crossbit.evaluation.result import Result
from crossbit.metrics.hashing import balls
from evaluation import toys


def measured(bits: int) -> tuple[Result, np.ndarray, np.ndarray]:
    """Give a result by codes, the distances of pictures to texts, and who is relevant."""
    data, model = toys.manifest(120), toys.ToyModel(noise=0.7, bits=bits)
    result = evaluate(model, data, by="code", protocol="hashing", languages=["en"], progress=False)
    plan = protocol_of("hashing").plan(data, "test", ["en"])
    (case,) = plan.cases
    images = model.encode("image", [item.path for item in plan.items]).code
    texts = model.encode("text", list(plan.texts)).code
    distances = hamming_distances(images[case.images], texts[case.text_gallery])
    labels = [set(item.labels) for item in plan.items]
    relevant = np.array([[bool(labels[a] & labels[b]) for b in case.image_gallery] for a in case.images])
    return result, distances, relevant


def test_precision_and_recall_over_radii_agree_with_a_loop() -> None:
    result, distances, relevant = measured(16)
    line = result.curves["en"]["image_to_text"]
    assert line["radius"] == list(range(17))
    for radius, precision, recall, empty in zip(
        *(line[k] for k in ("radius", "precision", "recall", "empty")), strict=True
    ):
        inside = distances <= radius
        share = [hit.sum() / max(1, ball.sum()) for hit, ball in zip(inside & relevant, inside, strict=True)]
        assert precision == pytest.approx(100 * np.mean(share))
        assert recall == pytest.approx(100 * np.mean((inside & relevant).sum(1) / relevant.sum(1)))
        assert empty == (inside.sum(1) == 0).sum()
    metrics = result.metrics["en"]["image_to_text"]
    assert metrics["precision_within_radius_2"] == pytest.approx(line["precision"][2])
    assert line["recall"][-1] == pytest.approx(100)


def test_precision_of_the_first_answers_is_the_mean_over_orders_of_equals() -> None:
    result, distances, relevant = measured(8)
    line = result.curves["en"]["image_to_text"]
    assert line["top_n"] == [1, 2, 5, 10, 20, 50]  # the gallery has 60
    draw = np.random.default_rng(0)
    found = []
    for _ in range(300):  # equal distances in a random order
        order = np.lexsort((draw.random(distances.shape), distances), axis=1)
        found.append(np.take_along_axis(relevant, order, 1)[:, :5].mean())
    assert line["precision_at_top_n"][2] == pytest.approx(100 * np.mean(found), abs=0.5)


def test_long_codes_keep_some_radii_the_first_and_the_last_among_them() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (12, 32), dtype=np.uint8)
    line = _radius_curve(balls(codes[:4], codes, np.eye(4, 12, dtype=bool)))
    assert len(line["radius"]) == 65
    assert (line["radius"][0], line["radius"][-1]) == (0, 256)
    assert (line["precision"][0], line["recall"][0]) == (100, 100)  # each finds itself, and nothing else, at distance 0


def test_curves_survive_the_file_and_old_files_have_none(tmp_path: Path) -> None:
    result, _, _ = measured(16)
    found = Result.read(result.write(tmp_path / "r.json"))
    for side, lines in result.curves["en"].items():
        for name, line in lines.items():
            assert found.curves["en"][side][name] == pytest.approx(line, abs=1e-4)
    plain = evaluate(toys.ToyModel(), toys.manifest(40), progress=False)
    assert plain.curves == {}
    path = plain.write(tmp_path / "p.json")
    assert '"curves"' not in path.read_text()
    assert Result.read(path).curves == {}


def test_embeddings_have_the_curve_of_the_first_answers_alone() -> None:
    result = evaluate(
        toys.ToyModel(noise=0.5), toys.manifest(120), protocol="hashing", languages=["en"], progress=False
    )
    assert set(result.curves["en"]["image_to_text"]) == {"top_n", "precision_at_top_n"}
