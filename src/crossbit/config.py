"""Settings: YAML and key=value -> a checked, frozen dataclass. The only door of pydantic.

A dataclass holds the defaults; a YAML file names only what differs; `key=value` words override both. Every mistake (an unknown
key, a value of the wrong type, a key written twice) is a `ConfigError` that names the key, the value and what is expected.

YAML is read by its 1.2 rules: `no` is the language and not false, `1e-4` is a number, a date is a string, and a key that
stands twice is an error. PyYAML keeps the 1.1 rules, which is why the loader below exists; it builds plain values only.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

import yaml

from crossbit.errors import ConfigError

T = TypeVar("T")


def resolve(cls: type[T], yaml_path: str | Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Give the settings of a dataclass: its defaults, then the YAML file, then the `key=value` words.

    Raises:
        ConfigError: the file cannot be read, a key does not exist, or a value does not fit.
    """
    values = load_yaml(yaml_path) if yaml_path is not None else {}
    return check(cls, override(values, overrides), source=str(yaml_path) if yaml_path is not None else "")


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping; an empty file is an empty mapping.

    Raises:
        ConfigError: the file is missing or unreadable, is no YAML, holds a key twice, or is no mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}, expected a YAML file with settings") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}), expected a YAML file with settings") from error
    value = _parse(text, str(path))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: the top level is {_kind(value)}, expected `key: value` lines")
    return {str(key): inner for key, inner in value.items()}


def override(values: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Give a copy of nested values with each `key=value` word applied; dots lead into nested mappings.

    Whether the key exists is asked by `check`, which knows the dataclass.

    Raises:
        ConfigError: a word has no `=` or no key, or a dotted key leads through a plain value.
    """
    merged: dict[str, Any] = _copy(values)
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.strip(" ."):
            raise ConfigError(f"{word!r}: no `=`, expected `key=value`", "such as `training.epochs=5` or `seed=1`")
        *parents, leaf = key.strip().split(".")
        place = merged
        for depth, parent in enumerate(parents, start=1):
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                path = ".".join(parents[:depth])
                raise ConfigError(f"{word!r}: `{path}` is {inner!r}, expected nested settings to set `{leaf}` in")
            place = inner
        place[leaf] = _parse(text, word)
    return merged


def check(cls: type[T], values: Mapping[str, Any], *, prefix: str = "", source: str = "") -> T:
    """Build the dataclass from nested plain values.

    Types are checked strictly (a `true` is no number, a "5" is no integer); a list becomes a tuple and an integer a float
    where the field asks for it.

    Args:
        cls: a dataclass; its fields may be dataclasses themselves.
        values: plain and nested, as YAML or JSON gives them.
        prefix: where these values stand in the whole, such as `training`; used in messages.
        source: the file they came from; used in messages.

    Raises:
        ConfigError: a key does not exist (with the nearest name), or a value does not fit its field.
    """
    from pydantic import TypeAdapter, ValidationError  # 0.2 s, needed by no search

    where = f"{source}: " if source else ""
    _check_keys(cls, values, prefix, where)
    try:
        text = json.dumps(values, default=_plain)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}a value is not plain text, number, list or mapping ({error})") from error
    try:
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in (prefix, *first["loc"]) if part != "")
        if first["type"] == "missing":
            raise ConfigError(f"{where}`{path}` is missing, expected a value for it") from error
        raise ConfigError(f"{where}`{path}` is {first['input']!r}, expected {_expected(first)}") from error


def to_mapping(settings: Any) -> dict[str, Any]:
    """Spell out a dataclass or mapping as plain nested values, every default included."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        settings = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return {str(key): _plain_tree(value) for key, value in settings.items()}


def write_resolved(path: str | Path, settings: Any) -> Path:
    """Write settings with every default spelled out, whole or not at all; the file can be fed back with `--config`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    text = yaml.dump(
        to_mapping(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def suggest(name: str, known: Sequence[str]) -> str:
    """Give a hint for a name that does not exist: the nearest one that does, else all of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(sorted(known)) or 'none'}"


# --- what stands behind it ----------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2 and without double keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key `{key.value}` stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
_NULL, _BOOL, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
for _tag, _pattern, _first in (
    (_BOOL, r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (_INT, r"^[-+]?[0-9]+$", list("-+0123456789")),
    (
        _FLOAT,
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$",
        list("-+.0123456789"),
    ),
    (_NULL, r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:merge", r"^(?:<<)$", ["<"]),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)
# PyYAML's own integer constructor still has base 8 for a leading zero and base 60 for colons
_Loader.add_constructor(_INT, lambda loader, node: int(str(loader.construct_scalar(node))))  # type: ignore[arg-type]


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which quotes by the 1.1 rules; what only 1.2 takes for a number is quoted too."""


def _dump_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    if math.isfinite(value):
        return dumper.represent_scalar(
            _FLOAT, repr(value) if "." in repr(value) or "e" in repr(value) else f"{value}.0"
        )
    return dumper.represent_scalar(_FLOAT, ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf")


def _dump_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    node = dumper.represent_str(value)
    if _RESOLVER.resolve(yaml.ScalarNode, value, (True, False)) != "tag:yaml.org,2002:str":
        node.style = "'"
    return node


_RESOLVER = _Loader("")
_Dumper.add_representer(float, _dump_float)
_Dumper.add_representer(str, _dump_text)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader: plain values, no objects
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}{place}: {problem}, expected YAML") from error


def _copy(values: Any) -> Any:
    return {key: _copy(value) for key, value in values.items()} if isinstance(values, Mapping) else values


def _check_keys(cls: Any, values: Mapping[str, Any], prefix: str, where: str) -> None:
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    for key, value in values.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if key not in names:
            raise ConfigError(f"{where}`{path}` does not exist", suggest(str(key), names))
        inner = _dataclass_in(hints[key])
        if inner is not None and isinstance(value, Mapping):
            _check_keys(inner, value, path, where)


def _dataclass_in(hint: Any) -> Any:
    """Find the dataclass in a field's type: itself, or the one in `X | None`."""
    if dataclasses.is_dataclass(hint):
        return hint
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((part for part in typing.get_args(hint) if dataclasses.is_dataclass(part)), None)
    return None


_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "string_type": "text",
    "tuple_type": "a list, such as `[a, b]`",
    "list_type": "a list, such as `[a, b]`",
    "dict_type": "nested `key: value` settings",
    "dataclass_type": "nested `key: value` settings",
    "model_type": "nested `key: value` settings",
}


def _expected(error: Mapping[str, Any]) -> str:
    if kind := _KINDS.get(error["type"]):
        return kind
    if error["type"] == "literal_error":
        return f"one of {error['ctx']['expected']}"
    message = str(error["msg"])
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", bool: "`true` or `false`"}.get(type(value), f"a {type(value).__name__}")


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"found {type(value).__name__}")


def _plain_tree(value: Any) -> Any:
    if isinstance(value, Mapping) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return to_mapping(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain_tree(part) for part in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return str(value) if isinstance(value, PurePath) else value
