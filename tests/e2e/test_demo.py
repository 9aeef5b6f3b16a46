"""The demo and the claims bench on a tenth of the drawings: whole roads, short."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crossbit.cli import claims, fit
from crossbit.cli.demo import QUESTIONS
from crossbit.cli.main import app
from crossbit.data.manifest import Manifest
from crossbit.data.picto import openmoji
from crossbit.evaluation.result import Result


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Manifest:
    """Give a manifest of 120 drawings and three languages under the name of the whole one."""
    whole = openmoji.prepare(progress=False)
    asked = {question.answer for question in QUESTIONS}
    kept = [item for number, item in enumerate(whole) if number % 16 == 0 or item.id in asked]
    items = [replace(i, captions=tuple(c for c in i.captions if c.lang in ("en", "de", "ja"))) for i in kept]
    root = tmp_path / "few"
    (root / "pictures").mkdir(parents=True)
    for item in items:
        shutil.copyfile(whole.file(item), root / item.path)
    manifest = Manifest("openmoji", root, tuple(items))
    monkeypatch.setattr(openmoji, "prepare", lambda **_: manifest)
    return manifest


def test_the_demo_learns_measures_indexes_and_asks_and_is_quick_the_second_time(few: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = CliRunner().invoke(app, ["demo", "--output", str(out), "--epochs", "2"])
    assert first.exit_code == 0, first.output
    table = first.stdout.splitlines()
    assert [line.split("\t")[0] for line in table[1:5]] == ["de", "en", "ja", "mean"]
    answers = [line for line in table if " = " in line]
    assert len(answers) == 8
    assert sum("(new)" in line for line in answers) == 2
    assert all(question.words in line for question, line in zip(QUESTIONS, answers, strict=True))
    assert first.stderr.count("  crossbit ") == 3
    page = (out / "answers.html").read_text()
    assert not re.search(r"(src|href)=.https?:", page)
    assert page.count("data:image") >= 8
    assert "OpenMoji" in page
    trained = (out / "run" / "model" / "config.json").stat().st_mtime_ns
    second = CliRunner().invoke(app, ["demo", "--output", str(out), "--epochs", "2"])
    assert second.exit_code == 0, second.output
    assert "trained before" in second.stderr
    assert (out / "run" / "model" / "config.json").stat().st_mtime_ns == trained
    assert second.stdout == first.stdout


def test_claims_are_measured_written_and_kept(few: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {key: replace(value, epochs=1) for key, value in fit.SETTINGS.items()}
    monkeypatch.setattr(fit, "SETTINGS", short)
    words = ["bench", "claims", "--system", "vsepp", "--seeds", "0,1"]
    folders = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(app, [*words, *folders, "--json"])
    assert done.exit_code == 0, done.output
    record: dict[str, Any] = json.loads((tmp_path / "results" / "claims" / "vsepp.json").read_text())
    assert json.loads(done.stdout) == record
    assert record["system"] == "vsepp"
    for check in record["checks"]:
        assert check["seeds"] == [0, 1]
        assert len(check["ours"]) == len(check["baseline"]) == 2
        assert check["verdict"] in ("holds", "does not hold")
        assert check["command"] == "crossbit bench claims --system vsepp --seeds 0,1"
    files = sorted((tmp_path / "results" / "openmoji").glob("*.json"))
    assert len(files) == 4
    assert Result.read(files[0]).data["fingerprint"] == few.fingerprint
    before = {file: file.stat().st_mtime_ns for file in files}
    again = CliRunner().invoke(app, [*words, *folders])
    assert again.exit_code == 0, again.output
    assert "train" not in again.stderr
    assert {file: file.stat().st_mtime_ns for file in files} == before


def test_codes_made_afterwards_are_signs_of_the_embedding(few: Manifest, tmp_path: Path) -> None:
    bench = claims.Bench("openmoji", tmp_path / "runs", tmp_path / "results", "test")
    model = fit.fit("vsepp", few, tmp_path / "run", training=fit.settings_for("vsepp", epochs=1), progress=False).model
    signs = claims.CodesAfterwards(model, "sign", model.dim, bench.manifest)
    import numpy as np

    rows = model.encode_text(["red apple", "dog"])
    np.testing.assert_array_equal(np.unpackbits(signs.encode("text", ["red apple", "dog"]).code, axis=1), rows >= 0)
    itq = claims.CodesAfterwards(model, "itq", 16, bench.manifest)
    assert itq.encode("text", ["red apple"]).code.shape == (1, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--system", "nonsense"], "no claims of 'nonsense', there are ['base', 'cmhr_drn', 'fgcmh', 'mvsen', "),
        (["--system", "vsepp", "--seeds", "one"], "--seeds: 'one' is not a whole number"),
        (["--system", "vsepp", "--seeds", ","], "seeds: none"),
    ],
)
def test_wrong_claims_are_named(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["bench", "claims", *words])
    assert done.exit_code == 2
    assert said in done.stderr
