"""The bench of hashing: which runs it asks for, what it keeps, and that every kind of system gives codes of its length."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crossbit.batch import Encoded
from crossbit.cli.hashing_bench import HashingBench, _serves_others, bench_hashing
from crossbit.cli.hashing_report import report
from crossbit.cli.hashing_speed import scan_times
from crossbit.cli.hashing_systems import SYSTEMS, Wanted, loop_settings, method_settings, wanted
from crossbit.codes.packing import pack
from crossbit.errors import UsageError
from crossbit.evaluation.hashing_split import HashingSplit
from crossbit.methods.cmssh import CMSSH, CMSSHConfig

COLOURS = ("red", "green", "blue", "black", "white", "grey", "pink", "brown", "orange", "navy", "teal", "olive")
SPLITS = ("train",) * 6 + ("val",) * 3 + ("test",) * 3


def write(folder: Path, last: str = "olive") -> Path:
    lines = []
    for place, (colour, split) in enumerate(zip(COLOURS, SPLITS, strict=True)):
        Image.new("RGB", (32, 32), colour).save(folder / f"{colour}.png")
        captions = [
            {"text": f"{last if colour == 'olive' else colour} square", "lang": "en"},
            {"text": "bunt", "lang": "de"},
        ]
        labels = [f"group:{place % 2}", "tag:square"] if place % 3 else [f"group:{place % 2}"]
        record = {"id": colour, "path": f"{colour}.png", "split": split, "captions": captions, "labels": labels}
        lines.append(json.dumps({**record, "concept": colour}))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "manifest.jsonl"


def bench(folder: Path, data: Path, epochs: int = 1) -> HashingBench:
    changes = {"epochs": epochs, "batch_size": 6, "validate_every": 1}
    return HashingBench(str(data), 32, folder / "runs", folder / "results", "typed", changes)


def test_seed_after_seed_so_that_a_part_is_a_comparison() -> None:
    runs = list(wanted(["itq", "dcmh"], [16, 32], [0, 1], ["captions", "labels"]))
    assert len(runs) == 16
    assert [(r.seed, r.track, r.bits, r.system) for r in runs[:3]] == [
        (0, "captions", 16, "itq"), (0, "captions", 16, "dcmh"), (0, "captions", 32, "itq"),
    ]  # fmt: skip
    assert {r.seed for r in runs[8:]} == {1}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (([], [16], [0], ["labels"]), "no systems, bits, seeds or tracks"),
        ((["magic"], [16], [0], ["labels"]), "no system 'magic'"),
        ((["itq"], [16], [0], ["sounds"]), "no track 'sounds'"),
        ((["itq"], [4, 16], [0], ["labels"]), "codes of 4 to 16 bits"),
    ],
)
def test_wrong_use_is_named(asked: tuple[list[str], list[int], list[int], list[str]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        list(wanted(*asked))


def test_every_system_is_set_to_its_length() -> None:
    for name, system in SYSTEMS.items():
        config = method_settings(system, 64, 1024, 3)
        if system.kind in ("nested", "prefix"):
            assert config.bits == 1024, name
            assert getattr(config, "nested", False) == (system.kind == "nested"), name
        elif system.method == "vsepp":
            assert config.width == (64 if system.kind == "sign" else 256), name
        else:
            assert config.bits == 64, name
    assert method_settings(SYSTEMS["itq"], 64, 1024, 3).seed == 3  # closed forms draw from their own seed
    small, large = (loop_settings("dcmh", data) for data in ("openmoji", "picto"))
    assert small.epochs == 4 * large.epochs


def test_what_was_measured_is_kept_until_data_or_settings_change(tmp_path: Path) -> None:
    data = write(tmp_path)
    runs = [Wanted("labels", "itq", 16, 0), Wanted("captions", "itq", 16, 0)]
    labels, captions = bench_hashing(bench(tmp_path, data), runs)
    assert (labels.protocol["name"], captions.protocol["name"]) == ("hashing", "same-concept")
    assert labels.data["name"].endswith("-struck")  # "square" is a tag
    assert labels.command == "typed"
    assert labels.config["bench"]["system"] == "itq"
    assert labels.config["bench"]["cpu_seconds"] >= 0
    assert labels.model["width"] == 16
    assert "validation_map" in labels.config
    assert "validation_rsum" in captions.config
    split = HashingSplit.read(tmp_path / "results" / "split.json")
    assert (split.query, split.training) == (COLOURS[9:], COLOURS[:6])
    assert set(split.retrieval) == set(COLOURS[:9])
    again = bench_hashing(bench(tmp_path, data), runs)
    assert [r.date for r in again] == [r.date for r in (labels, captions)]
    assert not list((tmp_path / "runs").rglob("model.safetensors"))  # what serves no other length is dropped
    write(tmp_path, last="dark olive")
    changed = bench_hashing(bench(tmp_path, data), runs[:1])
    assert changed[0].data["fingerprint"] != labels.data["fingerprint"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_gives_codes_of_its_length(name: str, tmp_path: Path) -> None:
    runs = [Wanted(track, name, 16, 1) for track in ("labels", "captions")]
    labels, captions = bench_hashing(bench(tmp_path, write(tmp_path)), runs)
    assert labels.model["width"] == captions.model["width"] == 16
    assert labels.model["by"] == ("embedding" if SYSTEMS[name].kind == "float" else "code")
    assert 0 <= labels.metrics["en"]["both"]["map_all"] <= 100
    assert 0 <= captions.metrics["en"]["both"]["rsum"] <= 600
    assert labels.seeds == (1,)


def test_nested_and_later_codes_share_one_training(tmp_path: Path) -> None:
    data = write(tmp_path)
    runs = [
        Wanted("captions", name, bits, 0) for name in ("dcmh-nested", "vsepp-itq", "vsepp-random") for bits in (16, 32)
    ]
    made = bench_hashing(bench(tmp_path, data), runs)
    assert [result.model["width"] for result in made] == [16, 32] * 3
    assert len(list((tmp_path / "runs").rglob("model.safetensors"))) == 2  # one of dcmh, one of vsepp
    assert len({result.model["fingerprint"] for result in made}) == 6
    made_of = report([tmp_path / "results"], tmp_path / "none.json", plot=tmp_path / "plot")
    assert "| dcmh-nested |" in made_of.text
    assert len(made_of.points) == 6
    assert made_of.points[0].summary["metric"] == "rsum"
    assert [path.name for path in made_of.drawn] == ["plot.png", "plot.svg"]


def test_bits_of_boosting_do_not_depend_on_later_ones() -> None:
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((60, 6)).astype(np.float32)
    views = {"image": rows, "text": rows[:, :5] + 0.1 * draw.standard_normal((60, 5)).astype(np.float32)}
    unseen = torch.from_numpy(draw.standard_normal((60, 6)).astype(np.float32))  # thresholds lie on rows that were seen
    codes = []
    for bits in (8, 32):
        method = CMSSH(CMSSHConfig(bits=bits), {"image": (1, 6), "text": (1, 5)}).fit(views, None)
        view = Encoded("image", torch.zeros(60, 0, 1), torch.zeros(60, 0, dtype=torch.bool), unseen)
        codes.append(pack(method.relax(view).numpy()))
    np.testing.assert_array_equal(codes[0], codes[1][:, :1])


def test_numbers_and_signs_of_one_method_share_a_training() -> None:
    assert list(SYSTEMS).index("cmdn") < list(SYSTEMS).index("cmdn-float")
    used_again = {name for name in SYSTEMS if _serves_others(name)}
    assert used_again == {"cmdn", "cmssh", "fgcmh-nested", "dcmh-nested", "vsepp-itq", "vsepp-random"}


def test_scans_of_longer_codes_take_more_bytes() -> None:
    found = scan_times([16, 64], items=300, rounds=1)
    assert [(row["name"], row["bytes"]) for row in found["rows"]] == [
        ("16-bit codes", 2), ("64-bit codes", 8), ("256 numbers in float32", 1024),
    ]  # fmt: skip
    assert np.all([row["milliseconds"] > 0 for row in found["rows"]])
