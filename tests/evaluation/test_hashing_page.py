"""The page of the hashing comparison: seeds together, tables by hand, marks that hold, plots that show every line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from crossbit.errors import DataError, FingerprintError, UsageError
from crossbit.evaluation import Result, evaluate
from crossbit.evaluation.compare import lengths_of, lines_of, plot_lines
from crossbit.evaluation.hashing_page import (
    BEGIN,
    END,
    by_length,
    nested_table,
    read_speed,
    side_by_side,
    tables,
    write_page,
)
from crossbit.evaluation.hashing_points import hashing_points, read_hashing, systems_of
from evaluation import toys


def run(system: str, bits: int, seed: int, track: str, wobble: float = 0.7, count: int = 60) -> Result:
    """Give a result as `bench hashing` writes it."""
    result = evaluate(
        toys.ToyModel(noise=wobble, seed=seed, bits=bits),
        toys.manifest(count),
        by="code",
        languages=["en"],
        protocol="hashing" if track == "labels" else "concept-retrieval",
        system=f"{system} {bits}bit",
        seeds=[seed],
        progress=False,
    )
    bench = {"track": track, "system": system, "bits": bits, "cpu_seconds": 2.0 + seed, "image_us": 3.0, "text_us": 4.0}
    return replace(result, config={"bench": bench, "bits": {"dead_bits": [0] * seed}})


@pytest.fixture(scope="module")
def results() -> list[Result]:
    made = [run(name, bits, 0, track, wobble) for name, wobble in (("good", 0.5), ("bad", 2.0)) for bits in (8, 16)
            for track in ("captions", "labels")]  # fmt: skip
    return [*made, run("good", 8, 1, "captions", 0.5), run("good-nested", 8, 0, "captions", 1.0)]


def test_seeds_stand_together(results: list[Result]) -> None:
    found = {(p.track, p.system, p.bits): p for p in hashing_points(results)}
    assert len(found) == 9
    point = found["captions", "good", 8]
    sums = [r.rsum for r in results if r.system == "good 8bit" and "rsum" in r.metrics["en"]["both"]]
    assert sorted(point.values) == sorted(sums)
    assert len(sums) == 2
    assert point.mean == pytest.approx(np.mean(sums))
    assert point.spread == pytest.approx(abs(sums[0] - sums[1]) / np.sqrt(2))
    assert (point.bench("cpu_seconds"), point.dead_bits()) == (2.5, 0.5)
    assert systems_of(list(found.values()), ["good-nested", "none"]) == ["good-nested", "bad", "good"]


def test_results_of_other_data_are_refused(results: list[Result]) -> None:
    with pytest.raises(FingerprintError, match="hashing results on toy by labels"):
        hashing_points([*results, run("other", 8, 0, "labels", count=40)])
    with pytest.raises(UsageError, match="not made by `crossbit bench hashing`"):
        hashing_points([replace(results[0], config={})])


def test_the_table_by_length(results: list[Result]) -> None:
    found = [p for p in hashing_points(results) if p.track == "captions"]
    head, rule, good, bad, nested, last = by_length(found, ["good", "bad"]).splitlines()
    assert (head, rule) == ("| bits | 8 | 16 |", "|---|--:|--:|")
    known = {(p.system, p.bits): p for p in found}
    at = known["good", 8]
    assert good == f"| good | {at.mean:.1f} ± {at.spread:.1f} | {known['good', 16].mean:.1f} |"
    assert bad.startswith("| bad |")
    assert nested == f"| good-nested | {known['good-nested', 8].mean:.1f} |  |"  # not measured at 16
    assert last == "| bytes an item | 1 | 2 |"


def test_everything_stands_side_by_side(results: list[Result]) -> None:
    found = hashing_points(results)
    head, _, good, *_ = side_by_side(found, ["good"], bits=8).splitlines()
    line = dict(
        zip((cell.strip() for cell in head.split("|")), (cell.strip() for cell in good.split("|")), strict=True)
    )
    labels = next(r for r in results if r.system == "good 8bit" and "map_all" in r.metrics["en"]["both"])
    sides = labels.metrics["en"]["image_to_text"], labels.metrics["en"]["text_to_image"]
    assert line["MAP"] == f"{(sides[0]['map_all'] + sides[1]['map_all']) / 2:.1f}"
    assert (
        line["P(r≤2)"] == f"{(sides[0]['precision_within_radius_2'] + sides[1]['precision_within_radius_2']) / 2:.1f}"
    )
    assert line["MAP@5000"] == ""  # the gallery is smaller
    assert (line["training, s"], line["µs a picture"], line["µs a text"]) == ("2.5", "3", "4")


def test_nested_codes_stand_against_codes_of_the_length(results: list[Result]) -> None:
    found = hashing_points(results)
    known = {(p.system, p.bits): p.mean for p in found if p.track == "captions"}
    lost = known["good-nested", 8] - known["good", 8]
    assert f"| good-nested, rsum | {known['good-nested', 8]:.1f} ({lost:+.1f}) |  |" in nested_table(found)
    assert nested_table([p for p in found if p.system == "good"]) == ""


def test_a_page_keeps_what_stands_around_its_marks(tmp_path: Path, results: list[Result]) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")
    text = tables(hashing_points(results), [], None)
    for _ in range(2):
        write_page(page, text)
        assert page.read_text() == f"before\n{BEGIN}{text}{END}after\n"
    page.write_text("no marks")
    with pytest.raises(DataError, match="lacks the first mark"):
        write_page(page, text)
    page.write_text(BEGIN)
    with pytest.raises(DataError, match="lacks the second mark"):
        write_page(page, text)
    with pytest.raises(DataError, match="cannot be read"):
        write_page(tmp_path / "nothing.md", text)


def test_timings_stand_on_the_page(tmp_path: Path, results: list[Result]) -> None:
    path = tmp_path / "speed.json"
    assert read_speed(path) is None
    rows = [{"name": "64-bit codes", "bytes": 8, "milliseconds": 0.25}]
    path.write_text(json.dumps({"items": 2**17, "rounds": 3, "rows": rows, "machine": {"cpu": "a processor"}}))
    assert "| 64-bit codes | 8 | 0.25 | 1 |" in tables(hashing_points(results), [], read_speed(path))  # 8 * 2^17 = 1 MB
    path.write_text("{}")
    with pytest.raises(DataError, match="no timings"):
        read_speed(path)


def test_results_are_read_from_their_folders(tmp_path: Path, results: list[Result]) -> None:
    for number, result in enumerate(results):
        name = f"{number}.json" if number % 2 else f"{number}.json.gz"
        result.write(tmp_path / str(result.config["bench"]["track"]) / name)
    for read, made in zip(read_hashing(tmp_path), hashing_points(results), strict=True):
        assert (read.system, read.bits, read.track) == (made.system, made.bits, made.track)
        assert read.values == pytest.approx(made.values, abs=1e-4)
    with pytest.raises(UsageError, match="no result files"):
        read_hashing(tmp_path / "nothing")


def test_lines_hold_the_numbers(results: list[Result]) -> None:
    found = hashing_points(results)
    captions, labels = lengths_of(found, ["good"])
    assert (captions.title, captions.y, labels.title, labels.y) == ("toy, captions", "rsum", "toy, labels", "MAP, %")
    x, y = captions.lines["good"]
    assert list(x) == [8, 16]
    assert list(y) == [p.mean for p in found if (p.track, p.system) == ("captions", "good")]
    recall = [r for r in results if r.system == "good 16bit" and "rsum" in r.metrics["en"]["both"]]
    forth, _ = lines_of(recall)
    x, y = forth.lines["good 16bit"]
    assert y[x.index(5)] == pytest.approx(recall[0].metrics["en"]["image_to_text"]["recall_at_5"])
    curves = lines_of([r for r in results if r.system == "good 16bit" and "map_all" in r.metrics["en"]["both"]])
    assert [(panel.x, panel.y) for panel in curves] == [
        ("recall, %", "precision, %"), ("recall, %", "precision, %"), ("first N", "precision, %"), ("first N", "precision, %"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="hold no curves"):
        lines_of([replace(r, curves={}) for r in results if "map_all" in r.metrics["en"]["both"]])


def test_plots_name_every_line(tmp_path: Path, results: list[Result]) -> None:
    png, svg = plot_lines(lengths_of(hashing_points(results)), tmp_path / "plots" / "lengths")
    with Image.open(png) as drawn:
        assert drawn.width > 800
        assert len(drawn.convert("L").getcolors() or []) > 10
    first = svg.read_bytes()
    assert ElementTree.fromstring(first).tag.endswith("svg")
    plot_lines(lengths_of(hashing_points(results)), tmp_path / "plots" / "lengths")
    assert svg.read_bytes() == first
    with pytest.raises(UsageError, match="no lines"):
        plot_lines([], tmp_path / "nothing")
