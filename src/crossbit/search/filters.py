"""Filters: which items a `where` condition lets through, computed on typed columns with SQL's treatment of what is missing.

A missing field makes a comparison neither true nor false, and only what is true is let through: `not author = 'Ann'` keeps
items whose author is known and is not Ann.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool

from crossbit.errors import UsageError
from crossbit.search.arrow import booleans, scalar
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

Source = Callable[[str], pa.Array | None]
"""Gives the column `kind:name` of a portion of the items, or None."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "number": ("int", "float"),
    "text": ("text",),
    "time": ("date", "time", "instant"),
    "flag": ("flag",),
}
"""What can be compared with each other, and the kinds of `metadata.KINDS` that belong to it."""

_SAY = {"number": "numbers", "text": "text", "time": "dates", "flag": "true or false", "json": "lists"}


class Filter:
    """A condition, checked once against the fields that the collection has.

    Args:
        text: the condition.
        fields: names of all fields, each with the kinds of its values.

    Raises:
        UsageError: it cannot be read, names a field that no item has, or compares what cannot be compared.
    """

    def __init__(self, text: str, fields: dict[str, set[str]]) -> None:
        self.text, self.fields = text, fields
        self.tree = parse(text)
        self.mask(0, lambda _: None)  # walks the tree once, on nothing: every error comes before the search

    def mask(self, items: int, source: Source) -> Bool[np.ndarray, " N"]:
        """Say of a portion of the items which the condition lets through."""
        found = _Walk(self, items, source).node(self.tree)
        return booleans(found)


class _Walk:
    """Evaluates the tree on one portion of the items."""

    def __init__(self, condition: Filter, items: int, source: Source) -> None:
        self.condition, self.items, self.source = condition, items, source

    def fail(self, message: str, hint: str = "") -> NoReturn:
        raise UsageError(f"where `{self.condition.text}`: {message}", hint)

    def node(self, node: Node) -> pa.Array:
        """Give true, false or null for every item."""
        match node:
            case Both():
                join = pc.or_kleene if node.any else pc.and_kleene
                return join(self.node(node.left), self.node(node.right))
            case Not():
                return pc.invert(self.node(node.part))
            case IsTrue():
                return self.column(node.column, self.family(node.column, ("flag",), "true or false"))
            case IsNull():
                return self.is_null(node.column)
            case Like():
                values = self.column(node.column, self.family(node.column, ("text",), f"the pattern '{node.pattern}'"))
                return pc.match_like(values, node.pattern, ignore_case=node.ignore_case)
            case OneOf():
                equal = [self.compare("=", node.column, value) for value in node.values]
                return _any(equal)
            case Compare():
                assert isinstance(node.left, Column)
                return self.compare(node.operator, node.left, node.right)

    def compare(self, operator: str, left: Column, right: Column | Literal) -> pa.Array:
        """Compare a field with a value or with another field."""
        compute = _COMPUTE[operator]
        if isinstance(right, Literal):
            family, value = self.meant(left, right.value)
            if operator not in ("=", "!=") and family == "flag":
                self.fail(f"field `{left.name}` is true or false, which `{operator}` does not order", "use `=` or `!=`")
            return compute(self.column(left, family), value)
        mine, theirs = self.families(left), self.families(right)
        for family in FAMILIES:
            if family in mine and family in theirs:
                return compute(self.column(left, family), self.column(right, family))
        return self.fail(
            f"field `{left.name}` holds {_say(mine)} and `{right.name}` {_say(theirs)}, expected two of one kind"
        )

    def meant(self, column: Column, value: Any) -> tuple[str, pa.Scalar]:
        """Choose the family that a value is compared in: text stands for a date where the field holds dates."""
        match value:
            case bool():
                return self.family(column, ("flag",), f"`{str(value).lower()}`"), scalar(value)
            case int() | float():
                return self.family(column, ("number",), f"the number {value}"), scalar(value)
            case datetime():
                return self.family(column, ("time",), f"the date {value:%Y-%m-%d}"), scalar(value)
        if self.families(column) == {"time"}:
            moment = moment_of(value)
            if moment is None:
                self.fail(f"field `{column.name}` holds dates, found '{value}'", "write a date as '2024-05-01'")
            return "time", scalar(moment)
        return self.family(column, ("text",), f"the text '{value}'"), scalar(value)

    def families(self, column: Column) -> set[str]:
        """Say what a field holds.

        Raises:
            UsageError: no item has such a field; the hint names the nearest.
        """
        kinds = self.condition.fields.get(column.name)
        if kinds is None:
            names = sorted(self.condition.fields)
            near = difflib.get_close_matches(column.name.lower(), [name.lower() for name in names], n=1, cutoff=0.6)
            known = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
            guess = next((name for name in names if near and name.lower() == near[0]), None)
            hint = f"did you mean `{guess}`? " if guess else ""
            self.fail(f"no item has a field `{column.name}`", f"{hint}fields are {known}")
        return {next((family for family, of in FAMILIES.items() if kind in of), "json") for kind in kinds}

    def family(self, column: Column, wanted: Sequence[str], compared_with: str) -> str:
        """Give the first of the wanted families that a field holds, or say that it holds none."""
        held = self.families(column)
        for family in wanted:
            if family in held:
                return family
        hint = ""
        if wanted == ("number",) and "text" in held:
            hint = "put the value in single quotes to compare text"
        elif wanted == ("text",) and "number" in held:
            hint = "leave the quotes away to compare numbers"
        return self.fail(f"field `{column.name}` holds {_say(held)}, compared with {compared_with}", hint)

    def column(self, column: Column, family: str) -> pa.Array:
        """Give a field's values of one family, numbers as float or int, dates as points in time."""
        parts = [found for kind in FAMILIES[family] if (found := self.source(f"{kind}:{column.name}")) is not None]
        if family == "time":
            parts = [part.cast(pa.timestamp("us")) for part in parts]
        if len(parts) > 1 and family == "number":
            parts = [part.cast(pa.float64(), safe=False) for part in parts]
        if not parts:
            return pa.nulls(self.items, _EMPTY[family])
        return parts[0] if len(parts) == 1 else pc.coalesce(*parts)

    def is_null(self, column: Column) -> pa.Array:
        """Say which items lack a field in every kind."""
        self.families(column)
        missing = pc.is_null(pa.nulls(self.items))
        for kind in self.condition.fields[column.name]:
            if (found := self.source(f"{kind}:{column.name}")) is not None:
                missing = pc.and_(missing, pc.is_null(found))
        return missing


_COMPUTE: dict[str, Callable[..., pa.Array]] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_EMPTY = {"number": pa.float64(), "text": pa.string(), "time": pa.timestamp("us"), "flag": pa.bool_()}


def _any(masks: Sequence[pa.Array]) -> pa.Array:
    found = masks[0]
    for mask in masks[1:]:
        found = pc.or_kleene(found, mask)
    return found


def _say(families: set[str]) -> str:
    return " and ".join(_SAY[family] for family in sorted(families))
