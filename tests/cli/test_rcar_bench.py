"""The bench of RCAR on thirty small pictures: which runs, what is kept, the clean part, the claims, the tables."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossbit.cli import rcar_bench, rcar_claims
from crossbit.cli.rcar_bench import STRATEGIES, RcarBench, Trial, trials, without_wrong
from crossbit.cli.rcar_claims import bench_rcar
from crossbit.data.noise import make_noise
from crossbit.data.sets import open_set
from crossbit.errors import UsageError
from crossbit.evaluation.robustness import VARIANTS, bins, detection_table, gap_table, read_cells, rsum_table

SPLITS = ("train",) * 20 + ("val",) * 4 + ("test",) * 6
CHANGES = {"epochs": 1, "batch_size": 10}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    draw, lines = np.random.default_rng(0), []
    for number, split in enumerate(SPLITS):
        Image.new("RGB", (16, 16), tuple(draw.integers(0, 255, 3).tolist())).save(folder / f"{number}.png")
        captions = [{"text": f"number {number} thing {number}", "lang": "en"}]
        labels = [f"group:{number % 2}", f"subgroup:{number % 4}"]
        record = {"id": str(number), "path": f"{number}.png", "split": split, "captions": captions, "labels": labels}
        lines.append(json.dumps(record))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "manifest.jsonl"


def test_every_variant_is_asked_where_it_makes_sense_seed_by_seed() -> None:
    asked = list(trials([0, 1]))
    assert set(VARIANTS) == set(STRATEGIES)
    assert len(asked) == len(set(asked)) == 2 * (6 + 4 * (8 + 6 + 6))
    assert [trial.seed for trial in asked] == sorted(trial.seed for trial in asked)
    clean = {trial.variant for trial in asked if not trial.ratio}
    assert clean == set(VARIANTS) - {"small-loss", "clean-part"}
    assert {trial.generator for trial in asked if trial.variant == "clean-part"} == {"unrelated"}


def test_the_clean_part_has_the_right_captions_alone(data: Path) -> None:
    manifest = open_set(str(data))
    noise = make_noise(manifest, "complete", 0.4, seed=1, generator="unrelated", languages=["en"])
    part = without_wrong(manifest, noise)
    wrong = {pair.item for pair in noise.pairs}
    assert len(wrong) == 8
    assert {item.id for item in manifest} - {item.id for item in part} == wrong
    assert all(item in manifest.items for item in part)


def test_claims_are_measured_and_kept(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rcar_bench, rcar_claims):  # one partial noise is enough to see how they are treated
        monkeypatch.setattr(module, "GENERATORS", ("unrelated", "half"))
    bench = RcarBench(tmp_path / "runs", tmp_path / "results", "typed", data=str(data), changes=CHANGES)
    path = bench_rcar(bench, [1], tmp_path / "claims", ratios=(0.4,))
    record = json.loads(path.read_text(encoding="utf-8"))
    names = [check["claim"][:3] for check in record["checks"]]
    assert {name: names.count(name) for name in sorted(set(names))} == {
        "C5a": 10, "C5b": 3, "C5c": 2, "C5d": names.count("C5d"), "C5e": 2,
    }  # fmt: skip
    assert names.count("C5d") >= 1
    main = next(check for check in record["checks"] if check["main"])
    folder = tmp_path / "results" / "picto-rcar"
    rsum = {}
    for variant in ("rcar", "multi-task"):
        for noise in ("clean", "unrelated-40"):
            result = json.loads(gzip.decompress((folder / f"{variant}-{noise}-seed1-best.json.gz").read_bytes()))
            rsum[variant, noise] = result["metrics"]["en"]["both"]["rsum"]
    drops = {v: rsum[v, "clean"] - rsum[v, "unrelated-40"] for v in ("rcar", "multi-task")}
    assert main["difference"] == pytest.approx(drops["rcar"] - drops["multi-task"], abs=0.01)
    assert not list((tmp_path / "runs").rglob("checkpoint-*"))
    # measured again, nothing is trained
    written = {place: place.stat().st_mtime_ns for place in folder.glob("*.json.gz")}
    bench_rcar(bench, [1], tmp_path / "claims", ratios=(0.4,))
    assert {place: place.stat().st_mtime_ns for place in folder.glob("*.json.gz")} == written
    assert {place.name for place in folder.iterdir() if place.suffix != ".gz"} == {
        "reliability.png",
        "reliability.svg",
    }
    # the tables
    found = read_cells(folder)
    table = rsum_table(found, "best")
    assert "| unrelated | clean-part |" in table
    assert f"| {rsum['rcar', 'clean']:.1f} | {rsum['rcar', 'unrelated-40']:.1f} |" in table
    assert gap_table(found, "last").startswith("| strategy | 40 % |")
    assert "| unrelated | 40 % | 0.400 |" in detection_table(found, "beta")
    bars = bins(found, "unrelated", 0.4, "beta")
    assert bars[0].sum() == 20  # all training pairs
    longer = RcarBench(
        tmp_path / "runs", tmp_path / "results", "typed", data=str(data), changes={**CHANGES, "epochs": 2}
    )
    again = longer.measured(Trial("plain", "", 0.0, 1))
    assert again["best"].config["settings"]["epochs"] == 2  # another setting is another measure
    with pytest.raises(UsageError, match="seeds: none"):
        bench_rcar(bench, [], tmp_path / "claims")
