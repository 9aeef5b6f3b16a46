"""Looking after a collection from the command line: following a folder, the past, moving, mending, giving and taking rows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import PROGRAM, crossbit, sentence


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures, indexed."""
    place = tmp_path_factory.mktemp("indexed")
    for name, colour in {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 220)}.items():
        Image.new("RGB", (64, 48), colour).save(place / f"{name}.png")
    assert crossbit("index", place).code == 0
    return place


@pytest.fixture
def folder(indexed: Path, tmp_path: Path) -> Path:
    """The same, for one test."""
    return Path(shutil.copytree(indexed, tmp_path / "pictures"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_watch_follows_and_ends_cleanly(folder: Path, how: signal.Signals) -> None:
    command = [*PROGRAM, "index", os.fspath(folder), "--watch", "--every", "0.2", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        try:
            assert watching.stdout is not None
            assert json.loads(watching.stdout.readline())["unchanged"] == 3
            Image.new("RGB", (64, 48), (250, 240, 20)).save(folder / "yellow.png")
            found = json.loads(watching.stdout.readline())
            assert (found["added"], found["items"]) == (1, 4)
            watching.send_signal(how)
            rest, said = watching.communicate(timeout=60)
        finally:
            watching.kill()
    assert (watching.returncode, rest) == (0, "")
    assert said.splitlines()[-1] == f"stopped; 4 pictures in {folder}/.crossbit"
    assert "Traceback" not in said
    assert crossbit("collection", "verify", folder).code == 0


def test_a_second_writer_is_told_and_can_wait(folder: Path) -> None:
    program = (
        "import sys, pathlib, time\nfrom crossbit.search.durable import writing\n"
        "with writing(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(float(sys.argv[2]))\n"
    )
    holder = [PROGRAM[0], "-c", program, os.fspath(folder / ".crossbit")]
    with subprocess.Popen([*holder, "60"], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        done = crossbit("collection", "snapshot", "x", "-c", folder)
        assert (done.code, f"process {other.pid} is writing" in sentence(done)) == (3, True)
        assert "`--wait SECONDS`" in done.err
        other.kill()
    with subprocess.Popen([*holder, "1"], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert crossbit("collection", "snapshot", "x", "-c", folder, "--wait", "60").code == 0


def test_the_past(folder: Path) -> None:
    assert json.loads(crossbit("collection", "snapshot", "all", "-c", folder, "--json").out)["items"] == 3
    (folder / "red.png").unlink()
    assert crossbit("index", folder).code == 0
    found = json.loads(crossbit("collection", "versions", folder, "--json").out)
    assert [(one["commit"], one["items"], one["name"]) for one in found] == [(1, 3, None), (1, 3, "all"), (2, 2, None)]
    for version in ("all", "1"):
        hits = json.loads(crossbit("search", "red", "-c", folder, "--at", version, "--json").out)["hits"]
        assert {Path(hit["path"]).name for hit in hits} == {"red.png", "green.png", "blue.png"}
    done = crossbit("search", "red", "-c", folder, "--at", "never")
    assert (done.code, "no version 'never'" in sentence(done), "there are all, 1, 2" in done.err) == (3, True, True)
    assert json.loads(crossbit("collection", "restore", "1", "-c", folder, "--json").out)["back"] == 1
    assert crossbit("collection", "snapshot", "all", "--drop", "-c", folder).out == "all: dropped\n"


def test_mending_what_cannot_be_opened(folder: Path) -> None:
    head = folder / ".crossbit" / "head.json"
    head.write_bytes(head.read_bytes()[:50])
    done = crossbit("search", "red", "-c", folder)
    assert (done.code, "head.json" in sentence(done)) == (3, True)
    done = crossbit("collection", "repair", folder)
    assert (done.code, done.out) == (0, f"mended: {head}, from its twin\n")
    head.unlink()
    assert json.loads(crossbit("collection", "repair", folder, "--json").out)["given_up"] == []
    assert crossbit("search", "red", "-c", folder).code == 0


def test_duplicates_in_every_form(folder: Path, tmp_path: Path) -> None:
    done = crossbit("collection", "duplicates", folder, "--kind", "same")
    assert (done.code, done.out, sentence(done)) == (1, "", "no duplicates among 3 pictures\n")
    (folder / "twin.png").write_bytes((folder / "red.png").read_bytes())
    assert crossbit("index", folder).code == 0
    words = ("collection", "duplicates", folder, "--kind", "same")
    found = json.loads(crossbit(*words, "--json").out)["groups"]
    assert [(Path(g["kept"]["path"]).name, [Path(t["path"]).name for t in g["twins"]]) for g in found] == [
        ("red.png", ["twin.png"])
    ]
    assert crossbit(*words, "--paths").out == f"{folder}/twin.png\n"
    assert crossbit(*words, "-0").raw == os.fsencode(folder / "twin.png") + b"\0"
    assert crossbit(*words, "--html", tmp_path / "page.html").code == 0
    assert "same file" in (tmp_path / "page.html").read_text()


def test_wrong_use(folder: Path, tmp_path: Path) -> None:
    for words, message in (
        (("migrate", "-c", folder), "expected either `--model NAME` or `--cancel`"),
        (("migrate", "--model", "base", "-c", folder), "is made with model `base` already"),
        (("snapshot", "a b", "-c", folder), "expected letters"),
        (("export", folder, "-c", folder), "exists, expected a new folder"),
        (("import", tmp_path / "none", "-c", tmp_path / "c"), "no such file or folder"),
    ):
        done = crossbit("collection", *words)
        assert (done.code in (2, 3), message in sentence(done)) == (True, True), done.err
    assert crossbit("collection", "migrate", "--cancel", "-c", folder).out == "nothing was under way\n"
    done = crossbit("embed", folder, "--shard", "3/2", "-o", tmp_path / "out")
    assert (done.code, "expected 1/N to N/N" in sentence(done)) == (2, True)


def test_out_and_in(folder: Path, tmp_path: Path) -> None:
    found = json.loads(crossbit("collection", "export", tmp_path / "x.parquet", "-c", folder, "--json").out)
    assert (found["format"], found["items"]) == ("parquet", 3)
    words = ("collection", "import", tmp_path / "x.parquet", "-c", tmp_path / "again", "--json")
    assert json.loads(crossbit(*words).out)["model"] == "base"
    hits = [json.loads(crossbit("search", "red", "-c", c, "--json").out)["hits"] for c in (folder, tmp_path / "again")]
    assert [hit["path"] for hit in hits[0]] == [hit["path"] for hit in hits[1]]
