"""The way of a user: index, search in every form of output, go on after changes and interruptions; how light it starts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import PROGRAM, crossbit, process, sentence

COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 220)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with captions and years beside them, indexed."""
    place = tmp_path_factory.mktemp("pictures")
    for year, (name, colour) in enumerate(COLOURS.items(), start=2019):
        target = place / "deep" / f"{name}.png" if name == "blue" else place / f"{name}.png"
        target.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), colour).save(target)
        target.with_suffix(".json").write_text(json.dumps({"caption": f"a {name} guitar", "year": year}))
    assert crossbit("index", place).code == 0
    return place


def test_index_says_which_model_and_what_it_did(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    done = crossbit("index", tmp_path)
    assert re.match(r"model: base\. Finds photographs of a thousand kinds of things", sentence(done))
    assert re.fullmatch(rf"1 added in [\d.]+ s; 1 picture in {tmp_path}/.crossbit\n", done.out)


def test_a_second_index_touches_only_what_changed(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    assert json.loads(crossbit("index", tmp_path, "--json").out)["added"] == 4
    (tmp_path / "0.png").rename(tmp_path / "renamed.png")
    (tmp_path / "1.png").unlink()
    Image.new("RGB", (8, 8), "green").save(tmp_path / "2.png")
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "4.png")
    found = json.loads(crossbit("index", tmp_path, "--json").out)
    counts = {name: found[name] for name in ("added", "changed", "renamed", "removed", "unchanged", "encoded")}
    assert counts == {"added": 1, "changed": 1, "renamed": 1, "removed": 1, "unchanged": 1, "encoded": 2}
    assert crossbit("index", tmp_path).out.startswith("4 unchanged")


def test_search_by_words_ranks_what_is_named(folder: Path) -> None:
    lines = [line.split("\t") for line in crossbit("search", "a", "green", "guitar", "-c", folder).out.splitlines()]
    assert lines[0] == ["rank", "score", "path", "why"]
    assert (lines[1][0], lines[1][3]) == ("1", "a green guitar")
    assert lines[1][2].endswith("green.png")
    assert [line[0] for line in lines[1:]] == ["1", "2", "3"]
    scores = [float(line[1]) for line in lines[1:]]
    assert scores == sorted(scores, reverse=True)


def test_search_by_picture_finds_the_picture(folder: Path) -> None:
    found = json.loads(crossbit("search", "--image", folder / "deep" / "blue.png", "-c", folder, "--json").out)
    assert found["hits"][0]["path"] == str(folder / "deep" / "blue.png")
    assert found["hits"][0]["score"] == pytest.approx(1, abs=2e-3)  # kept as float16
    assert found["query"] is None


def test_json_has_everything_of_a_hit(folder: Path) -> None:
    found = json.loads(crossbit("search", "a red guitar", "-n", "1", "-c", folder, "--json").out)
    (hit,) = found["hits"]
    assert found["model"] == "base"
    assert (hit["rank"], hit["path"], hit["captions"]) == (1, str(folder / "red.png"), ["a red guitar"])
    assert hit["metadata"]["year"] == 2019


def test_paths_and_where_and_threshold(folder: Path) -> None:
    done = crossbit("search", "guitar", "-c", folder, "--where", "year > 2019", "--paths")
    assert sorted(done.out.splitlines()) == [str(folder / "deep" / "blue.png"), str(folder / "green.png")]
    one = crossbit("search", "guitar", "-c", folder, "--where", "year between 2020 and 2020", "-0")
    assert one.raw == os.fsencode(folder / "green.png") + b"\0"
    assert crossbit("search", "guitar", "-c", folder, "--threshold", "-1", "--paths").code == 0


def test_the_nearest_collection_upwards_and_short_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "deep")
    assert crossbit("search", "a blue guitar", "-n", "1").out.splitlines()[1].split("\t")[2] == "blue.png"
    assert "3 pictures, 3 captions" in crossbit("collection", "info").out


def test_a_page_is_written_and_opened(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: not opened.append(url))
    page = tmp_path / "page.html"
    assert crossbit("search", "a red guitar", "-c", folder, "--html", page).code == 0
    assert opened == []
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == 3
    assert (folder / "red.png").as_uri() in text
    assert crossbit("search", "a red guitar", "-c", folder, "--open").code == 0
    assert len(opened) == 1
    assert opened[0].startswith("file://")


def test_collection_verbs(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (8, 8), (len(name) * 9, ord(name), 0)).save(tmp_path / f"{name}.png")
    assert crossbit("index", tmp_path, "-c", tmp_path / "kept").code == 0
    info = json.loads(crossbit("collection", "info", tmp_path / "kept", "--json").out)
    assert (info["items"], info["model"], info["quarantined"]) == (2, "base", 0)
    assert json.loads(crossbit("collection", "verify", tmp_path / "kept", "--json").out)["ok"] is True
    assert json.loads(crossbit("collection", "quarantine", tmp_path / "kept", "--json").out) == []
    assert crossbit("collection", "delete", tmp_path / "a.png", "-c", tmp_path / "kept").out == "1 picture taken out\n"
    assert crossbit("search", "x", "-c", tmp_path / "kept", "--paths").out == f"{tmp_path / 'b.png'}\n"
    assert set(json.loads(crossbit("collection", "compact", tmp_path / "kept", "--json").out)) == {
        "bytes_before",
        "bytes_after",
    }
    assert (tmp_path / "a.png").exists()


def test_methods_and_doctor_in_json() -> None:
    methods = {entry["key"]: entry for entry in json.loads(crossbit("methods", "--json").out)}
    assert methods["conse"]["use"] == "index"
    report = json.loads(crossbit("doctor", "--json").out)
    assert report["healthy"] is True
    assert {"part", "state", "detail", "fix"} == set(report["findings"][0])


def test_doctor_runs_the_encoders() -> None:
    done = crossbit("doctor", "--full", "--json")
    found = {finding["part"]: finding for finding in json.loads(done.out)["findings"]}
    assert found["encoder efficientnet-lite0"]["detail"].endswith("width 1280")
    assert found["encoder e5-small"]["detail"].endswith("width 384")
    assert "threads" in found["torch runs"]["detail"]


# --- errors and exits -----------------------------------------------------------------------------------------------------


def test_wrong_use_names_the_option() -> None:
    done = crossbit("search", "--colour", "red")
    assert done.code == 2
    assert "--colour" in done.err
    assert crossbit("serach").code == 2


def test_an_unexpected_error_is_one_line_and_its_trace_comes_with_debug(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("crossbit.search.collection.Collection.search", fail)
    done = crossbit("search", "x", "-c", folder)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("error: ZeroDivisionError: inside")
    assert "run again with --debug" in done.err
    assert "Traceback" not in done.err
    for words in (["--debug", "search", "x", "-c", folder], ["search", "x", "-c", folder, "--debug"]):
        assert "Traceback" in crossbit(*words).err
    assert "Traceback" not in crossbit("search", "-c", folder, "--", "--debug").err


@pytest.mark.parametrize(("verb", "way_on"), [("index", "the same command goes on"), ("search", "nothing was changed")])
def test_an_interruption_says_how_to_go_on(
    folder: Path, verb: str, way_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crossbit.search.collection.Collection.open", interrupt)
    done = crossbit(*(["index", folder] if verb == "index" else ["search", "x", "-c", folder]))
    assert done.code == 130
    assert way_on in done.err


def test_an_interrupted_index_goes_on_where_it_stopped(tmp_path: Path) -> None:
    pictures, count = tmp_path / "pictures", 4000
    pictures.mkdir()
    for number in range(count):  # few different ones, which are encoded once each: this is about files and commits
        if number < 20:
            Image.new("RGB", (8, 8), (number, 0, 0)).save(pictures / f"{number}.png")
        else:
            os.link(pictures / f"{number % 20}.png", pictures / f"{number}.png")
    run = subprocess.Popen([*PROGRAM, "index", pictures], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    segments = pictures / ".crossbit" / "segments"
    deadline = time.monotonic() + 100
    while run.poll() is None and time.monotonic() < deadline and not (segments.is_dir() and any(segments.iterdir())):
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "the same command goes on" in err
    before = json.loads(crossbit("collection", "info", pictures, "--json").out)["items"]
    found = json.loads(crossbit("index", pictures, "--json").out)
    assert 0 < before < count
    assert (found["unchanged"], found["added"]) == (before, count - before)
    assert crossbit("collection", "verify", pictures).code == 0


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    program = (
        f"{sys.executable} -m crossbit.cli.main search guitar -c '{folder}' --paths | head -0; echo ${{PIPESTATUS[0]}}"
    )
    done = process(program, program=["bash", "-c"])
    assert done.out.strip() in ("0", "141")
    assert done.err == ""


def test_results_that_cannot_be_compared_are_remarked_on(tmp_path: Path) -> None:
    from crossbit.evaluation.evaluate import evaluate
    from crossbit.model import Model

    files = []
    for colour in ("red", "blue"):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{colour}.png")
    for name in ("first", "second"):
        listing = tmp_path / f"{name}.jsonl"
        records = [
            {
                "id": f"{name} {colour}",
                "path": f"{colour}.png",
                "split": "test",
                "captions": [{"text": colour, "lang": "en"}],
            }
            for colour in ("red", "blue")
        ]
        listing.write_text("\n".join(map(json.dumps, records)))
        result = evaluate(Model.from_pretrained("conse"), listing, system=name, progress=False)
        files.append(result.write(tmp_path / f"{name}.json"))
    done = process("compare", *files)
    assert done.code == 0
    assert "note: 'second' and 'first' cannot be compared" in sentence(done)
    assert done.out.startswith("| system")


# --- lightness ------------------------------------------------------------------------------------------------------------


def loaded(words: list[str]) -> set[str]:
    """Run a line in a fresh interpreter and name the packages that it imported."""
    program = (
        "import sys\nfrom crossbit.cli.main import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    return set(process("-c", program, *words, program=[sys.executable]).out.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["methods"], ["doctor"], ["search", "--help"]])
def test_help_and_lists_import_nothing_heavy(words: list[str]) -> None:
    assert loaded(words) & {"torch", "transformers", "onnxruntime", "numpy", "lancedb", "PIL"} == set()


def test_search_needs_neither_torch_nor_transformers_nor_the_store(folder: Path) -> None:
    found = loaded(["search", "red", "-c", str(folder)])
    assert found & {"torch", "transformers", "lancedb", "scipy", "sklearn"} == set()
    assert "onnxruntime" in found


def test_an_unchanged_folder_is_indexed_again_without_torch(folder: Path) -> None:
    assert loaded(["index", str(folder)]) & {"torch", "transformers", "lancedb"} == set()
