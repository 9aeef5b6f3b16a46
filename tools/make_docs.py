"""Write what of docs/ comes from elsewhere: the command line's reference, the head of each method's page, the list of pages.

python tools/make_docs.py            write
python tools/make_docs.py --check    only say what differs, exit 1 if anything does
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from importlib import import_module
from pathlib import Path

from crossbit.cli.reference import reference
from crossbit.evaluation.curves import curve_table, memory_table, read_points
from crossbit.evaluation.robustness import BEST, LAST, detection_table, gap_table, read_cells, rsum_table
from crossbit.methods import METHODS
from crossbit.methods.base import abilities
from crossbit.strategies import STRATEGIES

ROOT = Path(__file__).parent.parent
INDEX = """# Documentation

<!-- written by `make docs` from the titles of the pages; do not edit by hand -->

New here? Begin with the [README](../README.md); to add a method, with [CONTRIBUTING](../CONTRIBUTING.md). Every example of
these pages is run by the tests.
"""
FOLDERS = {
    "guides": "Guides: how to do one thing, step by step",
    "concepts": "Concepts: what a word means here, and why",
    "methods": "Methods: the paper, what is ours, settings, claims, findings",
    "reference": "Reference",
    "decisions": "Decisions: the question, the options, the choice, its price",
}
NOISE = (
    "<!-- begin of what `make docs` writes from results/picto-noise -->\n",
    "<!-- end of what `make docs` writes -->\n",
)
CLAIMED_AS = {"nested": "base"}
"""Methods whose claims stand under the name of the model that is made of them."""
END = "<!-- end of what `make docs` writes; below is by hand -->"


def head(name: str) -> str:
    """Give the generated part of a method's page: docstring, abilities, settings, claims."""
    module_name, class_name = METHODS[name].split(":")
    module = import_module(module_name)
    cls = getattr(module, class_name)
    title, _, text = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    lines = [f"# {name}", "", title, "", text, ""]
    lines += [f"Reads {', '.join(cls.reads)}" + (f"; may read {', '.join(cls.may_read)}" if cls.may_read else "") + "."]
    lines += [f"Abilities: {', '.join(sorted(abilities(cls)))}.", "", "## Settings", "", *settings(cls.Config)]
    return "\n".join([*lines, "", "## Claims", "", *claims(name), "", END, ""])


def settings(config: type) -> list[str]:
    """Give a table of the fields: the paper's default, the small setting, what it means."""
    fields = dataclasses.fields(config)
    if not fields:
        return ["None."]
    usual, small, meaning = config(), config.small(), meanings(config)  # type: ignore[attr-defined]
    rows = ["| field | default | small | |", "|---|---|---|---|"]
    for field in fields:
        values = (repr(getattr(of, field.name)) for of in (usual, small))
        rows.append(f"| {field.name} | " + " | ".join(values) + f" | {meaning.get(field.name, '')} |")
    return rows


def meanings(config: type) -> dict[str, str]:
    """Read the Args section of the settings' docstring."""
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(config.__doc__ or "").partition("Args:\n")[2].splitlines():
        indent = len(line) - len(line.lstrip())
        if not line.strip() or indent == 0:
            break
        if indent == 4:
            name, _, found[name] = (part.strip() for part in line.partition(":"))
        else:
            found[name] += " " + line.strip()
    return found


def rcar() -> str:
    """Give the head of the page on the strategy RCAR: docstring, settings, claims, tables of its bench."""
    module_name, class_name = STRATEGIES["rcar"].split(":")
    module = import_module(module_name)
    config = getattr(module, class_name).Config
    title, _, text = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    lines = ["# rcar", "", title, "", text, "", "A training strategy: `crossbit train METHOD strategy=rcar`.", ""]
    lines += ["## Settings", "", "| field | default | |", "|---|---|---|"]
    meaning = meanings(config)
    lines += [f"| {f.name} | {f.default!r} | {meaning.get(f.name, '')} |" for f in dataclasses.fields(config)]
    lines += ["", "## Claims", "", *claims("rcar"), "", "## Measured", ""]
    folder = ROOT / "results" / "picto-rcar"
    if not any(folder.glob("*.json.gz")):
        return "\n".join([*lines, "Not measured yet.", "", END, ""])
    found = read_cells(folder)
    for words, table in (
        ("Rsum at the best epoch by clean validation pairs:", rsum_table(found, BEST)),
        ("Rsum after the last epoch:", rsum_table(found, LAST)),
        ("Share of the gap between unprotected training and training on the clean part that is closed, best epoch:",
         gap_table(found, BEST)),
        ("The same after the last epoch:", gap_table(found, LAST)),
        ("What rcar believes of the planted pairs at the end:", detection_table(found)),
    ):  # fmt: skip
        lines += [words, "", table]
    if (folder / "reliability.png").is_file():
        lines += ["![Reliability of the probabilities](../../results/picto-rcar/reliability.png)", ""]
    return "\n".join([*lines, END, ""])


def claims(name: str) -> list[str]:
    """Give a table of the checks in results/claims/NAME.json."""
    name = CLAIMED_AS.get(name, name)
    path = ROOT / "results" / "claims" / f"{name}.json"
    if not path.is_file():
        if name in METHODS and "learns" not in can(name):
            return ["None: nothing is trained here."]
        return [f"Not measured yet; `crossbit bench claims --system {name}` does it."]
    claim = json.loads(path.read_text(encoding="utf-8"))
    rows = ["| claim | ours | against | difference | 95 % | verdict |", "|---|---|---|---|---|---|"]
    for check in claim["checks"]:
        ours, base = (sum(check[key]) / len(check[key]) for key in ("ours", "baseline"))
        low, high = check["ci95"]
        rows.append(
            f"| {check['claim']} | {ours:.1f} | {check['baseline_name']} {base:.1f} | {check['difference']:+.1f} | "
            f"[{low:.1f}, {high:.1f}] | {check['verdict']} |"
        )
    return [*rows, "", f"Written by `{claim['checks'][0]['command']}`."]


def can(name: str) -> frozenset[str]:
    """Name the abilities of a method of the table."""
    module_name, class_name = METHODS[name].split(":")
    return abilities(getattr(import_module(module_name), class_name))


def noise() -> str:
    """Give the page on noise with the tables of its curves."""
    text = (ROOT / "docs" / "noise.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(NOISE[0])
    folder = ROOT / "results" / "picto-noise"
    if not any(folder.glob("*.json")):
        return before + NOISE[0] + "Not measured yet.\n" + NOISE[1] + rest.partition(NOISE[1])[2]
    found = read_points(folder)
    seeds = max(len(point.values) for point in found)
    tables = [
        f"Rsum, mean and standard deviation over {seeds} seeds:",
        "",
        curve_table(found),
        "Rsum on the validation split, at the chosen epoch / after the last one:",
        "",
        memory_table(found),
        "",
    ]
    return before + NOISE[0] + "\n".join(tables) + NOISE[1] + rest.partition(NOISE[1])[2]


def index(made: dict[Path, str]) -> str:
    """Give the list of all pages, by folder and with their titles."""
    docs = ROOT / "docs"
    found = {path: path.read_text(encoding="utf-8") for path in docs.rglob("*.md")} | made
    lines = [INDEX]
    for folder, heading in FOLDERS.items():
        inside = sorted(path for path in found if path.parent.name == folder)
        if inside:
            lines += [f"## {heading}", ""]
            lines += [f"* [{_title(found[path])}]({path.relative_to(docs).as_posix()})" for path in inside]
            lines.append("")
    top = sorted(path for path in found if path.parent == docs and path.name != "README.md")
    lines += ["## Beside them", "", *(f"* [{_title(found[path])}]({path.name})" for path in top), ""]
    return "\n".join(lines)


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ").strip()


def pages() -> dict[Path, str]:
    """Give every generated file with its content; what people wrote below a head stays."""
    made = {ROOT / "docs" / "reference" / "cli.md": reference()}
    for name in METHODS:
        path = ROOT / "docs" / "methods" / f"{name}.md"
        own = path.read_text(encoding="utf-8").partition(END + "\n")[2] if path.is_file() else ""
        made[path] = head(name) + own
    page = ROOT / "docs" / "methods" / "rcar.md"
    own = page.read_text(encoding="utf-8").partition(END + "\n")[2] if page.is_file() else ""
    made[page] = rcar() + own
    made[ROOT / "docs" / "noise.md"] = noise()
    made[ROOT / "docs" / "README.md"] = index(made)
    return made


def main(arguments: list[str]) -> int:
    """Write the pages, or only compare them."""
    differing = [
        path for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    for path in differing:
        print(path.relative_to(ROOT))
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path], encoding="utf-8")
    return int(bool(differing) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
