"""The package as syntax trees: which file imports what, and when."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "crossbit"


@dataclass(frozen=True)
class Import:
    """One import of one module: by which file and line, and when it happens."""

    path: Path
    line: int
    module: str
    late: bool  # inside a function
    typing: bool  # under `if TYPE_CHECKING:`

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE)}:{self.line} imports {self.module}"


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = ("crossbit", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> frozenset[str]:
    return frozenset(module_of(path) for path in files())


def room(module: str) -> str:
    """Give the first part below the package: "search" of crossbit.search.engines.flat, "" of crossbit itself."""
    return (module.split(".") + [""])[1]


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for path in files() for found in _walk(path, ast.parse(path.read_text("utf-8")), False, False))


def _walk(path: Path, node: ast.AST, late: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for name in child.names:
                yield Import(path, child.lineno, name.name, late, typing)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{path}:{child.lineno}: relative import, expected the full name"
            for name in child.names:
                inner = f"{child.module}.{name.name}"
                yield Import(path, child.lineno, inner if inner in modules() else str(child.module), late, typing)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _walk(path, child, True, typing)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield from _walk(path, ast.Module([part], []), late, True)
            for part in child.orelse:
                yield from _walk(path, ast.Module([part], []), late, typing)
        else:
            yield from _walk(path, child, late, typing)
