"""A room imports only from the floors below, never beside and never above; inside a room there are no cycles."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from architecture.sources import Import, _walk, files, imports, module_of, room

FLOORS = (
    {"errors", "cachedir", "words"},
    {"features", "ranking", "media", "codes", "modelcard"},
    {"batch"},
    {"nn", "metrics", "cascade", "config"},
    {"data", "encoders"},
    {"methods", "strategies"},
    {"heads"},
    {"heads", "modelcard"},
    {"model", "testing"},
    {"training", "evaluation", "search"},
    {"cli", "server"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
TYPES_BESIDE = {("data", "crossbit.encoders.base")}
"""Names that an annotation beside may use: the feature cache is handed an encoder and knows its protocol only."""


def broken(found: Import) -> str | None:
    """Say what is wrong with an import, or None."""
    here, there = room(module_of(found.path)), room(found.module)
    if found.module.split(".")[0] != "crossbit" or here == there or here == "":
        return None
    if there == "":  # crossbit itself, for its version
        return None
    if found.typing and (here, found.module) in TYPES_BESIDE:
        return None
    return None if FLOOR[there] < FLOOR[here] else f"{found} (floor {FLOOR[there]}) from floor {FLOOR[here]}"


def test_every_room_has_a_floor() -> None:
    rooms = {room(module_of(path)) for path in files()} - {""}
    assert rooms <= set(FLOOR), f"no floor for {sorted(rooms - set(FLOOR))}"


def test_rooms_import_only_from_floors_below() -> None:
    assert [message for found in imports() if (message := broken(found))] == []


@pytest.mark.parametrize("folder", ["methods", "strategies"])
def test_papers_know_only_their_base(folder: str) -> None:
    beside = [
        str(found)
        for found in imports()
        if room(module_of(found.path)) == room(found.module) == folder and found.module != f"crossbit.{folder}.base"
    ]
    assert beside == []


def test_no_module_imports_itself_round_a_corner() -> None:
    graph: dict[str, set[str]] = {}
    for found in imports():
        if found.module.startswith("crossbit") and not (found.late or found.typing):
            graph.setdefault(module_of(found.path), set()).add(found.module)
    for module, needed in graph.items():
        needed.discard(module)
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_room_without_a_name() -> None:
    nameless = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    assert [str(path) for path in files() if path.stem in nameless or path.parent.name in nameless] == []


@pytest.mark.parametrize(
    ("path", "line", "wrong"),
    [
        ("metrics/x.py", "from crossbit.cascade import retrieve", True),  # beside
        ("metrics/x.py", "from crossbit.search.collection import Collection", True),  # above
        ("metrics/x.py", "def f():\n    import crossbit.search", True),  # above, late
        ("metrics/x.py", "from crossbit.errors import MetricError", False),
        ("metrics/x.py", "from crossbit.metrics.standings import Standings", False),
        ("cli/x.py", "from crossbit import __version__", False),
        ("cli/x.py", "from crossbit.search.collection import Collection", False),
    ],
)
def test_the_test_can_fail(path: str, line: str, wrong: bool) -> None:
    full = Path(files()[0]).parent / path
    assert [bool(broken(found)) for found in _walk(full, ast.parse(line), False, False)] == [wrong]
