"""Packed result files: the same as plain ones, and a bomb or damage is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from crossbit.errors import DataError, UsageError
from crossbit.evaluation import Result, evaluate
from crossbit.evaluation import result as module
from evaluation import toys


def test_a_packed_file_holds_the_same_in_less(tmp_path: Path) -> None:
    result = evaluate(toys.ToyModel(noise=1.0, bits=12), toys.manifest(60), by="code", seeds=[3], progress=False)
    packed, plain = result.write(tmp_path / "a.json.gz"), result.write(tmp_path / "a.json")
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert packed.stat().st_size < plain.stat().st_size / 2
    assert Result.read(packed).to_json() == Result.read(plain).to_json()
    again = result.write(tmp_path / "b.json.gz")
    assert again.read_bytes() == packed.read_bytes()  # no time of day inside
    with pytest.raises(UsageError, match="never overwritten"):
        result.write(packed)


def test_bombs_and_damage_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    path = tmp_path / "r.json.gz"
    path.write_bytes(gzip.compress(b" " * 100_000))
    with pytest.raises(DataError, match="more than 1,000 bytes unpacked"):
        Result.read(path)
    for broken in (b"no archive", gzip.compress(b'{"format": 1}')[:-9], gzip.compress(b"{}")):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"r\.json\.gz: "):
            Result.read(path)
