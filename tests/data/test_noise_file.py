"""Noise files: read back as written, and every damage named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.noise import Noise, make_noise
from crossbit.data.noise_file import read_noise, write_noise
from crossbit.errors import DataError, UsageError


@pytest.fixture
def noise() -> Noise:
    names = ("roter Apfel", "Straße „A“", "блюдо", "猫", "dog\tand cat")
    items = (
        Item(str(n), f"{n}.png", captions=(Caption(text, "de", "name"),), split="train") for n, text in enumerate(names)
    )
    return make_noise(Manifest("five", Path("/nowhere"), tuple(items)), "complete", 0.8, seed=3)


@pytest.mark.parametrize("name", ["noise.json", "below/noise.parquet"])
def test_what_is_written_is_read(noise: Noise, tmp_path: Path, name: str) -> None:
    path = write_noise(noise, tmp_path / name)
    found = read_noise(path)
    assert found == noise
    assert found.fingerprint == noise.fingerprint
    assert write_noise(noise, path) == path  # the same once more is no conflict
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_head_says_what_was_measured(noise: Noise, tmp_path: Path) -> None:
    record = json.loads(write_noise(noise, tmp_path / "noise.json").read_text(encoding="utf-8"))
    assert record["format"] == 1
    assert (record["realised"], record["exchanged"], record["captions"]) == (0.8, 4, 5)
    assert record["fingerprint"] == noise.fingerprint
    assert record["pairs"][0]["was"] in ("roter Apfel", "Straße „A“")


def test_another_noise_is_not_overwritten(noise: Noise, tmp_path: Path) -> None:
    path = write_noise(noise, tmp_path / "noise.json")
    other = replace(noise, seed=4)
    with pytest.raises(UsageError, match="would be overwritten"):
        write_noise(other, path)
    with pytest.raises(UsageError, match="expected `.json` or `.parquet`"):
        write_noise(noise, tmp_path / "noise.npy")


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_a_file_that_was_changed_by_hand_is_refused(noise: Noise, tmp_path: Path, suffix: str) -> None:
    path = write_noise(noise, tmp_path / f"noise.{suffix}")
    if suffix == "json":
        path.write_text(path.read_text(encoding="utf-8").replace('"seed": 3', '"seed": 4'), encoding="utf-8")
    else:
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        pq.write_table(table.slice(1), path)
    with pytest.raises(DataError, match="it was changed"):
        read_noise(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "found a list"),
        (b'{"format": 99}', "noise format 99"),
        (b'{"format": 1, "kind": "complete"}', "no field 'generator'"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_noise_file_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "noise.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_noise(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_fields_are_checked(noise: Noise, tmp_path: Path) -> None:
    path = write_noise(noise, tmp_path / "noise.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    record["pairs"][0]["place"] = "first"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match=r"pairs.0.place.*'first'.*whole number"):
        read_noise(path)


def test_missing_files_and_broken_parquet_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_noise(tmp_path / "none.json")
    (tmp_path / "noise.parquet").write_bytes(b"PAR1 no, it is not")
    with pytest.raises(DataError, match="not Parquet"):
        read_noise(tmp_path / "noise.parquet")
