"""The audit from the command line: planted pairs, the page, decisions there and back, going on, bad input."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from e2e.command import Done, crossbit, process, sentence

HUES = {
    "red": (220, 30, 30),
    "green": (30, 160, 40),
    "blue": (30, 60, 220),
    "yellow": (240, 220, 40),
    "black": (10, 10, 10),
}
SHADES = ("", "pale ", "dark ")
ATTACK = "</script><script>alert('x')</script> & <b>red</b>"
OPTIONS = ("--folds", "2", "--epochs", "2")
KILLED = """
import os, signal
from crossbit.training import checkpoint
real, saved = checkpoint.save, []
def save(*words):
    real(*words)
    saved.append(1)
    if len(saved) == 3:  # the second fold has one of two epochs
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save = save
from crossbit.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of one colour each, two a name; one caption is an attack on the page."""
    folder = tmp_path_factory.mktemp("audit")
    draw, lines = np.random.default_rng(0), []
    for number in range(30):
        name = list(HUES)[number % 5]
        shade = SHADES[number // 5 % 3]
        value = np.array(HUES[name]) * (0.5 if shade == "dark " else 1) + (100 if shade == "pale " else 0)
        noise = draw.integers(0, 20, (32, 32, 3))
        Image.fromarray(np.clip(value + noise, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        text = ATTACK if number == 0 else f"{shade}{name} square"
        captions = [{"text": text, "lang": "en"}]
        record = {"id": f"<i>{number}", "path": f"{number}.png", "concept": f"{shade}{name}", "captions": captions}
        lines.append(json.dumps(record))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "manifest.jsonl"


@pytest.fixture(scope="module")
def first(data: Path) -> Done:
    return crossbit("audit", data, "-o", data.parent / "audit", *OPTIONS)


def pairs_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]


def decisions(folder: Path, *decided: str) -> dict[str, object]:
    """Decide about the first pairs as the page exports it."""
    mark = json.loads((folder / "settings.json").read_text(encoding="utf-8"))["fingerprint"]
    entries = [
        {"item": p["item"], "lang": p["lang"], "place": p["place"], "caption": p["caption"], "decision": d}
        for p, d in zip(pairs_of(folder), decided, strict=False)
    ]
    return {"format": 1, "audit": mark, "decisions": entries}


def test_all_pairs_are_ranked(data: Path, first: Done) -> None:
    assert first.code == 0, first.err
    folder = data.parent / "audit"
    assert sorted(path.name for path in folder.iterdir()) == [
        "fold-0.npz", "fold-1.npz", "pairs.jsonl", "review.html", "settings.json",
    ]  # fmt: skip
    found = pairs_of(folder)
    assert sorted(str(p["item"]) for p in found) == sorted(f"<i>{number}" for number in range(30))
    said = [float(str(p["probability"])) for p in found]
    assert said == sorted(said, reverse=True)
    assert {bool(p["kind"]) for p in found if float(str(p["probability"])) > 0.5} <= {True}
    texts = {str(p["caption"]) for p in found} | {""}
    assert all(p["better_caption"] in texts and p["better_caption"] != p["caption"] for p in found)
    shown = crossbit("audit", data, "-o", folder, *OPTIONS, "--json")
    assert [s["item"] for s in json.loads(shown.out)] == [p["item"] for p in found if p["kind"]]


def test_the_page_shows_every_pair_and_runs_nothing_of_the_data(data: Path, first: Done) -> None:
    assert first.code == 0, first.err
    page = (data.parent / "audit" / "review.html").read_text(encoding="utf-8")
    assert page.count("<article>") == 30
    assert page.count("<script") == 2  # the pairs and the program, nothing from a caption
    assert "<script>alert" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(&#x27;x&#x27;)" in page
    assert "<i>" not in page
    assert "<b>" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    inside = re.search(r'<script type="application/json" id="pairs">(.*?)</script>', page, re.S)
    assert inside is not None
    assert {p["caption"] for p in json.loads(inside[1])["pairs"]} >= {ATTACK}


def test_decisions_come_back_and_the_rejected_go(data: Path, first: Done, tmp_path: Path) -> None:
    assert first.code == 0, first.err
    folder = data.parent / "audit"
    file = tmp_path / "decisions.json"
    file.write_text(json.dumps(decisions(folder, "reject", "accept", "reject")), encoding="utf-8")
    clean = data.parent / "clean.jsonl"
    done = crossbit("audit", data, "-o", folder, *OPTIONS, "--import", file, "--write-clean", clean)
    assert done.code == 0, done.err
    assert "without 2 pairs and 2 items" in done.err
    ranked = pairs_of(folder)
    kept = [json.loads(line)["id"] for line in clean.read_text(encoding="utf-8").splitlines()]
    assert set(kept) == {f"<i>{number}" for number in range(30)} - {ranked[0]["item"], ranked[2]["item"]}
    # they are kept, and shown on the page
    page = (folder / "review.html").read_text(encoding="utf-8")
    assert page.count('"decision": "reject"') == 2
    assert json.loads((folder / "decisions.json").read_text(encoding="utf-8"))["decisions"][0].keys() == {
        "item", "lang", "place", "caption", "decision",
    }  # fmt: skip
    # all that is suspicious goes, but what was accepted stays
    more = data.parent / "more.jsonl"
    done = crossbit("audit", data, "-o", folder, *OPTIONS, "--reject-above", "0.0001", "--write-clean", more)
    assert done.code == 0, done.err
    left = {json.loads(line)["id"] for line in more.read_text(encoding="utf-8").splitlines()}
    assert ranked[1]["item"] in left
    assert left <= {p["item"] for p in ranked if float(str(p["probability"])) <= 0.0001} | {ranked[1]["item"]}
    (folder / "decisions.json").unlink()


def test_an_interrupted_audit_goes_on(data: Path, first: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first.code == 0, first.err
    from crossbit.training import crossfit

    real: Callable[..., object] = crossfit.judge_fold
    judged: list[int] = []

    def stops(pairs: object, fold_of: object, fold: int, *rest: object) -> object:
        judged.append(fold)
        if len(judged) == 2:
            raise KeyboardInterrupt
        return real(pairs, fold_of, fold, *rest)

    monkeypatch.setattr(crossfit, "judge_fold", stops)
    cut = crossbit("audit", data, "-o", tmp_path / "audit", *OPTIONS)
    assert cut.code == 130
    assert (tmp_path / "audit" / "fold-0.npz").is_file()
    done = crossbit("audit", data, "-o", tmp_path / "audit", *OPTIONS)
    assert done.code == 0, done.err
    assert judged == [0, 1, 1]  # the first was not judged again
    whole = (data.parent / "audit" / "pairs.jsonl").read_bytes()
    assert (tmp_path / "audit" / "pairs.jsonl").read_bytes() == whole
    other = crossbit("audit", data, "-o", tmp_path / "audit", "--folds", "3")
    assert other.code == 2
    assert "another config" in sentence(other)


def test_other_pairs_are_learnt_from_and_not_judged(data: Path, tmp_path: Path) -> None:
    records = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    split = data.parent / "split.jsonl"
    lines = [json.dumps({**r, "split": "val" if int(r["path"].split(".")[0]) < 24 else "train"}) for r in records]
    split.write_text("\n".join(lines), encoding="utf-8")
    # (twenty-four pairs are judged, the others are learnt from by each model)
    done = crossbit("audit", split, "-o", tmp_path / "a", *OPTIONS, "--split", "val", "--learn-from", split)
    assert done.code == 0, done.err
    assert "24 items of" in done.err
    assert "are judged, and not learnt from beside" in done.err
    assert {p["item"] for p in pairs_of(tmp_path / "a")} == {f"<i>{number}" for number in range(24)}
    settings = json.loads((tmp_path / "a" / "settings.json").read_text(encoding="utf-8"))
    assert settings["learns_from"]["fingerprint"] != settings["fingerprint"]
    other = crossbit("audit", split, "-o", tmp_path / "a", *OPTIONS, "--split", "val")
    assert other.code == 2
    assert "another learns_from" in sentence(other)


def test_a_killed_audit_goes_on_within_the_fold(data: Path, first: Done, tmp_path: Path) -> None:
    assert first.code == 0, first.err
    killed = process("audit", data, "-o", tmp_path / "audit", *OPTIONS, program=[sys.executable, "-c", KILLED])
    assert killed.code == -9
    assert [path.name for path in (tmp_path / "audit" / "fold-1").glob("checkpoint-*")] == ["checkpoint-0001-000000"]
    done = crossbit("audit", data, "-o", tmp_path / "audit", *OPTIONS)
    assert done.code == 0, done.err
    assert (tmp_path / "audit" / "pairs.jsonl").read_bytes() == (data.parent / "audit" / "pairs.jsonl").read_bytes()
    assert not (tmp_path / "audit" / "fold-1").exists()


def test_bad_input_is_named(data: Path, first: Done, tmp_path: Path) -> None:
    assert first.code == 0, first.err
    folder = data.parent / "audit"
    good = decisions(folder, "reject")
    entry = good["decisions"][0]  # type: ignore[index]
    wrong = {
        "[]": "not a file of decisions",
        "{": "not JSON",
        json.dumps({**good, "audit": "0" * 16}): "decisions about the audit '0000000000000000'",
        json.dumps({**good, "decisions": [{**entry, "caption": "another"}]}): "decision 0 is about",
        json.dumps({**good, "decisions": [{**entry, "item": ["a"]}]}): "decision 0 is about",
        json.dumps({**good, "decisions": [{**entry, "decision": "maybe"}]}): "expected accept or reject",
    }
    for text, said in wrong.items():
        (tmp_path / "d.json").write_text(text, encoding="utf-8")
        done = crossbit("audit", data, "-o", folder, *OPTIONS, "--import", tmp_path / "d.json")
        assert done.code == 3, done.err
        assert said in sentence(done)
    few = tmp_path / "few"
    few.mkdir()
    (few / "x").write_text("mine", encoding="utf-8")
    taken = crossbit("audit", data, "-o", few, *OPTIONS)
    assert taken.code == 2
    assert "holds other files" in sentence(taken)
    same = crossbit("audit", data, "-o", tmp_path / "same", *OPTIONS, "--learn-from", data)
    assert same.code == 3
    assert "nothing but pictures that are judged" in sentence(same)
    lines = data.read_text(encoding="utf-8").splitlines()[:6]
    (data.parent / "six.jsonl").write_text("\n".join(lines), encoding="utf-8")
    small = crossbit("audit", data.parent / "six.jsonl", "-o", tmp_path / "six", *OPTIONS)
    assert small.code == 3
    assert "6 pairs" in sentence(small)


@pytest.fixture(scope="module")
def chromium() -> Any:
    """Open the browser of the system; tests that need it are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.browser
def test_pairs_are_decided_by_keys_in_a_browser(data: Path, first: Done, tmp_path: Path, chromium: Any) -> None:
    assert first.code == 0, first.err
    folder = data.parent / "audit"
    assert crossbit("audit", data, "-o", folder, *OPTIONS).code == 0  # the page without what other tests decided
    page = chromium.new_page(accept_downloads=True)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto((folder / "review.html").as_uri())
    assert page.inner_text("#count") == "0 accepted, 0 rejected of 30"
    for key in "raaajkr":  # a and r go on to the next pair, so the last key is for the fifth
        page.keyboard.press(key)
    assert [page.locator("article").nth(row).get_attribute("class") for row in range(6)] == [
        "reject", "accept", "accept", "accept", "reject", " here",
    ]  # fmt: skip
    for key in "kr":  # the same key takes it back
        page.keyboard.press(key)
    page.locator("article").nth(2).locator("button[data-d=reject]").click()
    assert page.inner_text("#count") == "2 accepted, 2 rejected of 30"
    page.reload()
    assert page.inner_text("#count") == "2 accepted, 2 rejected of 30"
    with page.expect_download() as download:
        page.click("#export")
    exported = tmp_path / "decisions.json"
    download.value.save_as(exported)
    assert download.value.suggested_filename == "decisions.json"
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    page.close()
    assert said == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob"}
    # and back into the audit
    ranked = pairs_of(folder)
    entries = json.loads(exported.read_text(encoding="utf-8"))["decisions"]
    assert [(e["item"], e["decision"]) for e in entries] == [
        (ranked[row]["item"], decision) for row, decision in enumerate(("reject", "accept", "reject", "accept"))
    ]
    clean = data.parent / "reviewed.jsonl"
    done = crossbit("audit", data, "-o", folder, *OPTIONS, "--import", exported, "--write-clean", clean)
    assert done.code == 0, done.err
    kept = {json.loads(line)["id"] for line in clean.read_text(encoding="utf-8").splitlines()}
    assert kept == {p["item"] for p in ranked} - {ranked[0]["item"], ranked[2]["item"]}
    (folder / "decisions.json").unlink()
