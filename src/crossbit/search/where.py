"""`where`: a condition on metadata, such as `year > 2020 and author = 'Ann'`, from text to a tree.

The grammar is the plain part of SQL's: comparisons, `and or not`, brackets, `in (...)`, `between ... and ...`, `like`,
`is null`. It is parsed here and walked in `filters.py`; nothing is ever evaluated as code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import NoReturn

from crossbit.errors import UsageError


@dataclass(frozen=True)
class Column:
    """A field of the items' metadata, and where in the text it stands."""

    name: str
    at: int


@dataclass(frozen=True)
class Literal:
    """A number, a text in quotes, true, false, or a `date '2024-05-01'`."""

    value: bool | int | float | str | datetime


@dataclass(frozen=True)
class Compare:
    """`left operator right`, with an operator of = != < <= > >=."""

    operator: str
    left: Column | Literal
    right: Column | Literal


@dataclass(frozen=True)
class OneOf:
    """`column in (a, b)`."""

    column: Column
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Like:
    """`column like 'a%'`: % is any text, _ any character; `ilike` does not mind case."""

    column: Column
    pattern: str
    ignore_case: bool


@dataclass(frozen=True)
class IsNull:
    """`column is null`: the item has no such field."""

    column: Column


@dataclass(frozen=True)
class IsTrue:
    """A column alone, read as true or false."""

    column: Column


@dataclass(frozen=True)
class Not:
    """`not condition`."""

    part: Node


@dataclass(frozen=True)
class Both:
    """`left and right`, or `left or right` where `any` is set."""

    left: Node
    right: Node
    any: bool


Node = Compare | OneOf | Like | IsNull | IsTrue | Not | Both

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?)(?![\w.])
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+"|`[^`]+`)
    | (?P<word>[^\W\d]\w*(?:\.\w+)*)
    | (?P<sign><=|>=|!=|<>|==|=|<|>|\(|\)|,|-|\+)
    )""",
    re.VERBOSE,
)
_WORDS = {"and", "or", "not", "in", "between", "like", "ilike", "is", "null", "true", "false", "date", "timestamp"}
_COMPARISONS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_MIRRORED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def parse(text: str) -> Node:
    """Read a condition.

    Raises:
        UsageError: it cannot be read; the message points at the place.
    """
    parser = _Parser(text)
    node = parser.condition()
    if parser.kind != "end":
        parser.fail("`and`, `or` or the end")
    return node


class _Parser:
    """One look ahead, one method a level of the grammar."""

    def __init__(self, text: str) -> None:
        self.text, self.next, self.depth = text, 0, 0
        self.kind, self.token, self.at = "end", "", 0
        self.step()

    def step(self) -> str:
        """Move to the next token and give the one that was passed."""
        passed, start = self.token, self.next
        rest = len(self.text[start:]) - len(self.text[start:].lstrip())
        self.at = start + rest
        if self.at == len(self.text):
            self.kind, self.token = "end", ""
            return passed
        match = _TOKEN.match(self.text, start)
        if match is None:
            quote = self.text[self.at] in "'\"`"
            self.kind, self.token = "unknown", self.text[self.at]
            self.fail("the closing quote" if quote else "a field, a value or an operator")
        self.kind, self.token = str(match.lastgroup), match.group(str(match.lastgroup))
        if self.kind == "word" and self.token.lower() in _WORDS:
            self.kind, self.token = "key", self.token.lower()
        self.next = match.end()
        return passed

    def fail(self, expected: str) -> NoReturn:
        """Say where the text cannot be read, and what would have been."""
        found = f"`{self.token}`" if self.kind != "end" else "the end"
        raise UsageError(
            f"where `{self.text}`: found {found} at character {self.at + 1}, expected {expected}",
            "write conditions such as `year > 2020 and author = 'Ann'`: text in single quotes, odd field names in double ones",
        )

    def accept(self, *tokens: str) -> bool:
        """Pass a sign or key word if it stands here."""
        if self.kind in ("sign", "key") and self.token in tokens:
            self.step()
            return True
        return False

    def expect(self, token: str) -> None:
        """Pass a sign or key word that has to stand here."""
        if not self.accept(token):
            self.fail(f"`{token}`")

    def condition(self) -> Node:
        """Read `a or b or c`."""
        self.depth += 1
        if self.depth > 100:
            self.fail("fewer brackets within brackets")
        node = self.conjunction()
        while self.accept("or"):
            node = Both(node, self.conjunction(), any=True)
        self.depth -= 1
        return node

    def conjunction(self) -> Node:
        """Read `a and b and c`."""
        node = self.negation()
        while self.accept("and"):
            node = Both(node, self.negation(), any=False)
        return node

    def negation(self) -> Node:
        """Read `not a`, however often."""
        count = 0
        while self.accept("not"):
            count += 1
        node = self.simple()
        return Not(node) if count % 2 else node

    def simple(self) -> Node:
        """Read brackets or one test of a field."""
        if self.accept("("):
            node = self.condition()
            self.expect(")")
            return node
        left = self.operand()
        if self.kind == "sign" and self.token in _COMPARISONS:
            operator = _COMPARISONS[self.step()]
            right = self.operand()
            if isinstance(left, Literal):  # 2020 < year is year > 2020
                left, right, operator = right, left, _MIRRORED[operator]
            if isinstance(left, Literal):
                self.fail("a field on one side of the comparison")
            return Compare(operator, left, right)
        if isinstance(left, Literal):
            self.fail("a comparison after the value")
        if self.accept("is"):
            negated = self.accept("not")
            self.expect("null")
            return Not(IsNull(left)) if negated else IsNull(left)
        negated = self.accept("not")
        test = self.listed(left)
        if test is None:
            if negated:
                self.fail("`in`, `between` or `like`")
            return IsTrue(left)
        return Not(test) if negated else test

    def listed(self, column: Column) -> Node | None:
        """Read what may follow a `not`: in, between, like."""
        if self.accept("in"):
            self.expect("(")
            values = [self.literal()]
            while self.accept(","):
                values.append(self.literal())
            self.expect(")")
            return OneOf(column, tuple(values))
        if self.accept("between"):
            low = self.literal()
            self.expect("and")
            return Both(Compare(">=", column, low), Compare("<=", column, self.literal()), any=False)
        for word in ("like", "ilike"):
            if self.accept(word):
                pattern = self.literal().value
                if not isinstance(pattern, str):
                    self.fail("a pattern in single quotes")
                return Like(column, pattern, ignore_case=word == "ilike")
        return None

    def operand(self) -> Column | Literal:
        """Read a field or a value."""
        at = self.at
        if self.kind == "word":
            return Column(self.step(), at)
        if self.kind == "quoted":
            token = self.step()
            return Column(token[1:-1].replace('""', '"') if token[0] == '"' else token[1:-1], at)
        if self.kind == "key" and self.token in ("date", "timestamp") and not self._text_follows():
            return Column(self.step(), at)  # a field of that name
        return self.literal()

    def _text_follows(self) -> bool:
        return self.text[self.next :].lstrip().startswith("'")

    def literal(self) -> Literal:
        """Read a value."""
        if self.accept("true"):
            return Literal(True)
        if self.accept("false"):
            return Literal(False)
        if self.kind == "key" and self.token in ("date", "timestamp"):
            self.step()
            if self.kind != "text":
                self.fail("a date in single quotes")
            moment = moment_of(self._unquoted())
            if moment is None:
                self.fail("a date such as '2024-05-01' or '2024-05-01 12:30:00'")
            self.step()
            return Literal(moment)
        if self.kind == "text":
            value = self._unquoted()
            self.step()
            return Literal(value)
        sign = -1 if self.accept("-") else 1
        if sign == 1:
            self.accept("+")
        if self.kind == "number":
            token = self.step()
            return Literal(sign * (int(token) if token.isdigit() else float(token)))
        return self.fail("a value")

    def _unquoted(self) -> str:
        return self.token[1:-1].replace("''", "'")


def moment_of(text: str) -> datetime | None:
    """Read an ISO date or date and time; None when it is neither."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?", text):
            return datetime.fromisoformat(text)
    except ValueError:
        return None
    return None
