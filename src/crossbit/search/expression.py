"""Expressions: what a Milvus server can test of a `where` condition, and the facts of an item that it tests.

The server is asked for a superset: what it cannot test counts as true, and `filters.Filter` decides on what it gives. So no
answer depends on how a version of the server treats a missing field or an odd name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from crossbit.search.metadata import Value, dump, kind_of, load
from crossbit.search.records import Record
from crossbit.search.where import (
    Both,
    Column,
    Compare,
    IsNull,
    IsTrue,
    Like,
    Literal,
    Node,
    Not,
    OneOf,
    moment_of,
    parse,
)

CUT = "?"
"""The only fact of an item that has too many for a server."""
FACT_BYTES = 50_000
"""Of the facts of an item; a server takes 65,536."""

_Write = Callable[[str, str, Any], str | None]
_NEVER = "id < 0"
_EXACT = 2**53
_INVERSE = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_SIGN = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_PLAIN = re.compile(r'[^"\\\x00-\x1f\x7f]*')
_DECIMAL = re.compile(r"-?\d+\.\d+")
_TIMES = ("date", "time", "instant")


def facts_of(record: Record, path: str) -> dict[str, Any]:
    """Lay out what conditions can ask of an item: its metadata as `kind:name`, and what every item has as `=name`."""
    facts: dict[str, Any] = {}
    for name, value in record.metadata.items():
        kind = kind_of(value)
        facts[f"{kind}:{name}"] = _held(kind, value)
    folder, _, name = path.rpartition("/")
    micros = record.mtime_ns // 1000 if record.mtime_ns >= 0 else -(-record.mtime_ns // 1000)
    built = {"id": record.id, "path": path, "name": name, "folder": folder, "bytes": record.size, "modified": micros}
    facts |= {f"={name}": value for name, value in {**built, "captions": len(record.captions)}.items()}
    fits = len(json.dumps(facts, ensure_ascii=False).encode("utf-8", "surrogatepass")) <= FACT_BYTES
    return facts if fits else {CUT: 1}


def metadata_of(facts: Mapping[str, Any]) -> dict[str, Value]:
    """Give metadata back from facts."""
    found = {}
    for key, value in facts.items():
        kind, _, name = key.partition(":")
        if key.startswith("=") or key == CUT:
            continue
        match kind:
            case "json":
                value = load(value)
            case "date":
                value = datetime.fromtimestamp(value / 1_000_000, UTC).date()
            case "time" | "instant":
                moment = datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000)
                value = moment if kind == "instant" else moment.replace(tzinfo=None)
            case "float":
                value = float(value)
        found[name] = value
    return found


def _held(kind: str, value: Value) -> Any:
    if kind in _TIMES:
        return micros_of(value)
    return dump(value) if kind == "json" else value


def micros_of(moment: date | datetime) -> int:
    """Give a point in time as microseconds since 1970, UTC where it has no zone."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def superset(where: str, fields: Mapping[str, set[str]], own: Iterable[str]) -> tuple[str, list[str]]:
    """Write an expression that lets through whatever a condition lets through, and more where it cannot be written whole.

    Args:
        where: the condition, which fits the fields.
        fields: names of all fields, each with the kinds of its values.
        own: those that are the items' own, not `snapshot.BUILT_IN`.

    Returns:
        The expression, empty where it would let everything through, and the parts of the condition that are not in it.
    """
    writer = _Writer(fields, set(own))
    found = writer.maybe(parse(where), True)
    return ("" if found is None else f'({found}) or facts["{CUT}"] == 1'), writer.left_out


class _Writer:
    """Writes conditions; None stands for what may always be."""

    def __init__(self, fields: Mapping[str, set[str]], own: set[str]) -> None:
        self.fields, self.own = fields, own
        self.left_out: list[str] = []

    def maybe(self, node: Node, truth: bool) -> str | None:
        """Write a superset of the items for which a condition is true, or false."""
        match node:
            case Both():
                parts = [self.maybe(node.left, truth), self.maybe(node.right, truth)]
                return _or(parts) if node.any == truth else _and(parts)
            case Not():
                return self.maybe(node.part, not truth)
        found = self.leaf(node, truth)
        if found is None:
            self.left_out.append(spell(node))
        return found

    def leaf(self, node: Node, truth: bool) -> str | None:
        match node:
            case IsTrue():
                return _or([f"{key} == {str(truth).lower()}" for key in self.keys(node.column, ("flag",))])
            case IsNull():
                # whether a key is there is asked in the positive alone: versions differ in what `not` makes of it
                return None if truth else _or([f"exists {key}" for key in self.keys(node.column)])
            case Like():
                return self.like(node) if truth else None
            case OneOf():
                tests = [self.compare("=" if truth else "!=", node.column, value.value) for value in node.values]
                return _or(tests) if truth else _and(tests)
            case Compare():
                if isinstance(node.right, Literal) and isinstance(node.left, Column):
                    operator = node.operator if truth else _INVERSE[node.operator]
                    return self.compare(operator, node.left, node.right.value)
        return None

    def keys(self, column: Column, kinds: Iterable[str] | None = None) -> list[str | None]:
        """Give the facts that hold a field's values of some kinds; None for one whose name cannot be written."""
        found: list[str | None] = []
        for kind in sorted(self.fields.get(column.name, ())):
            if kinds is None or kind in kinds:
                name = f"{kind}:{column.name}" if column.name in self.own else f"={column.name}"
                found.append(f'facts["{name}"]' if _PLAIN.fullmatch(name) else None)
        return found

    def compare(self, operator: str, column: Column, value: Any) -> str | None:
        """Write the comparison of a field with a value."""
        held = self.fields.get(column.name, set())
        kinds: dict[str, _Write]
        written: Any
        match value:
            case bool():
                kinds, written = {"flag": _flag}, value
            case int() | float():
                if not math.isfinite(value) or abs(value) >= _EXACT:
                    return None
                kinds, written = {"int": _int, "float": _float}, value
            case datetime():
                kinds, written = dict.fromkeys(_TIMES, _int), micros_of(value)
            case str() if held and held <= set(_TIMES):
                moment = moment_of(value)
                if moment is None:
                    return None
                kinds, written = dict.fromkeys(_TIMES, _int), micros_of(moment)
            case _:
                kinds, written = {"text": _text}, value
        tests: list[str | None] = []
        for kind in sorted(held & set(kinds)):
            (key,) = self.keys(column, (kind,))
            tests.append(None if key is None else kinds[kind](key, operator, written))
        return _or(tests)

    def like(self, node: Like) -> str | None:
        """Write a pattern that only says how a text begins; older servers know no other."""
        start = node.pattern.rstrip("%")
        if node.ignore_case or not _PLAIN.fullmatch(start) or re.search("[%_]", start):
            return None
        if start == node.pattern:
            return self.compare("=", node.column, start)
        return _or(
            [
                None if key is None or not start else f'{key} like "{start}%"'
                for key in self.keys(node.column, ("text",))
            ]
        )


def _or(parts: Iterable[str | None]) -> str | None:
    written = list(parts)
    if any(part is None for part in written):
        return None
    return " or ".join(f"({part})" for part in written) if written else _NEVER


def _and(parts: Iterable[str | None]) -> str | None:
    written = [part for part in parts if part is not None]
    return " and ".join(f"({part})" for part in written) if written else None


def _flag(key: str, operator: str, value: bool) -> str:
    return f"{key} {_SIGN[operator]} {str(value).lower()}"


def _text(key: str, operator: str, value: str) -> str | None:
    return f'{key} {_SIGN[operator]} "{value}"' if _PLAIN.fullmatch(value) else None


def _int(key: str, operator: str, value: int | float) -> str | None:
    """Compare whole numbers with a number that need not be whole."""
    if operator in ("=", "!=") and value != int(value):
        return _NEVER if operator == "=" else None
    bound = math.ceil(value) if operator in ("<", ">=") else math.floor(value)
    return f"{key} {_SIGN[operator]} {bound}"


def _float(key: str, operator: str, value: int | float) -> str | None:
    written = repr(float(value))
    return f"{key} {_SIGN[operator]} {written}" if _DECIMAL.fullmatch(written) else None


def spell(node: Node) -> str:
    """Write a condition out again, for people."""
    match node:
        case Both():
            return f"({spell(node.left)} {'or' if node.any else 'and'} {spell(node.right)})"
        case Not():
            return f"not {spell(node.part)}"
        case IsTrue():
            return node.column.name
        case IsNull():
            return f"{node.column.name} is null"
        case Like():
            return f"{node.column.name} {'ilike' if node.ignore_case else 'like'} '{node.pattern}'"
        case OneOf():
            return f"{node.column.name} in ({', '.join(map(_spelt, node.values))})"
        case Compare():
            return f"{_spelt(node.left)} {node.operator} {_spelt(node.right)}"


def _spelt(operand: Column | Literal) -> str:
    if isinstance(operand, Column):
        return operand.name
    return f"'{operand.value}'" if isinstance(operand.value, (str, datetime)) else str(operand.value).lower()
