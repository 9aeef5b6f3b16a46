"""Noise curves: the right seeds together, the clean point common to all, and a picture that shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from crossbit.errors import FingerprintError, UsageError
from crossbit.evaluation import Result, evaluate
from crossbit.evaluation.compare import plot_curves
from crossbit.evaluation.curves import curve, curve_table, memory_table, names, points, read_points
from evaluation import toys


def run(wobble: float, seed: int, generator: str = "", ratio: float = 0.0, count: int = 40) -> Result:
    """Give a result as `bench noise` writes it; `wobble` stands for what the noise did to the model."""
    config: dict[str, object] = {"validation_rsum": 100.0 + seed, "last_epoch_validation_rsum": 50.0}
    if ratio:
        config["noise"] = {"generator": generator, "ratio": ratio, "realised": ratio - 0.01 * seed}
    model = toys.ToyModel(noise=wobble, seed=seed)
    name = f"toy {generator} {100 * ratio:g}" if ratio else "toy clean"
    result = evaluate(model, toys.manifest(count), system=name, seeds=[seed], progress=False)
    return replace(result, config=config)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    made = [run(0.5, seed) for seed in (0, 1)]
    made += [run(2.0 + ratio, seed, "unrelated", ratio) for ratio in (0.8, 0.4) for seed in (0, 1)]
    return [*made, run(1.0, 0, "half", 0.4)]


def test_seeds_stand_together(results: list[Result]) -> None:
    found = {(p.generator, p.ratio): p for p in points(results)}
    assert set(found) == {("clean", 0.0), ("unrelated", 0.4), ("unrelated", 0.8), ("half", 0.4)}
    point = found["unrelated", 0.4]
    sums = [r.rsum for r in results if r.system == "toy unrelated 40"]
    assert point.values == tuple(sums)
    assert point.mean == pytest.approx(np.mean(sums))
    assert point.spread == pytest.approx(abs(sums[0] - sums[1]) / np.sqrt(2))
    assert (point.realised, point.best, point.last) == (pytest.approx(0.395), 100.5, 50.0)
    assert found["half", 0.4].spread == 0


def test_every_curve_begins_at_the_clean_point(results: list[Result]) -> None:
    found = points(results)
    assert names(found) == (["toy"], ["unrelated", "half"], ["test"])
    assert [p.ratio for p in curve(found, "toy", "unrelated", "test")] == [0.0, 0.4, 0.8]
    assert [p.ratio for p in curve(found, "toy", "half", "test")] == [0.0, 0.4]


def test_the_table_says_what_was_lost(results: list[Result]) -> None:
    head, _, unrelated, half = curve_table(points(results)).splitlines()
    assert head == "| split | noise | method | 0 % | 40 % | 80 % | lost at the end |"
    clean, noisy = ([r.rsum for r in results if r.system == f"toy {name}"] for name in ("clean", "unrelated 80"))
    assert unrelated.startswith("| test | unrelated | toy | ")
    assert unrelated.endswith(f"| {np.mean(noisy) - np.mean(clean):+.1f} |")
    assert f"| {np.mean(clean):.1f} ± {np.std(clean, ddof=1):.1f} |" in unrelated
    assert half.split(" | ")[5] == ""  # no run at 80 %
    assert "| unrelated | toy | 100.5 / 50.0 | 100.5 / 50.0 | 100.5 / 50.0 |" in memory_table(points(results))


def test_files_of_different_data_are_no_curve(results: list[Result], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no result files"):
        read_points(tmp_path)
    for result in results:
        result.write(tmp_path)
    assert len(read_points(tmp_path)) == 4
    run(0.5, 2, count=60).write(tmp_path)
    with pytest.raises(FingerprintError, match="results with data"):
        read_points(tmp_path)


def test_the_plot_is_a_picture_and_the_same_each_time(results: list[Result], tmp_path: Path) -> None:
    found = points(results)
    png, svg = plot_curves(found, tmp_path / "below" / "noise")
    with Image.open(png) as picture:
        colours = picture.convert("RGB").getcolors(maxcolors=1 << 20)
        assert picture.size[0] > picture.size[1] > 300
    assert colours is not None
    assert len(colours) > 20  # lines and bands, not an empty page
    titles = "".join(ElementTree.parse(svg).getroot().itertext())
    assert "unrelated" in titles or svg.read_text(encoding="utf-8").count("unrelated") > 0
    again = plot_curves(found, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [png.read_bytes(), svg.read_bytes()]
