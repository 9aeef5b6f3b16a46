"""What a reader or writer takes beside the path: its keyword parameters, and their values from `key=value`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from crossbit.errors import UsageError

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Give the parameters that can only be named."""
    found = inspect.signature(function).parameters
    return {name: parameter for name, parameter in found.items() if parameter.kind is parameter.KEYWORD_ONLY}


def check(function: Callable[..., Any], format_name: str, names: Iterable[str]) -> None:
    """Refuse names that the function does not take.

    Raises:
        UsageError: names the first one, and those that there are.
    """
    known = parameters_of(function)
    if unknown := sorted(set(names) - set(known)):
        there = ", ".join(known) or "none"
        raise UsageError(f"format {format_name!r} takes no option {unknown[0]!r}, expected one of {there}")


def parsed(function: Callable[..., Any], format_name: str, pairs: Iterable[str]) -> Mapping[str, Any]:
    """Turn `key=value` into what the parameter of that name is annotated as.

    Raises:
        UsageError: a part is no pair, the function does not take it, or the value does not fit.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise UsageError(f"option {pair!r} is no pair, expected key=value")
        check(function, format_name, [name])
        # annotations are text here, because of `from __future__ import annotations` in every reader
        found[name] = _value(text, str(parameters_of(function)[name].annotation), f"option {name!r} of {format_name!r}")
    return found


def _value(text: str, kind: str, what: str) -> Any:
    if "bool" in kind:
        if text.lower() not in _TRUTHS:
            raise UsageError(f"{what} is {text!r}, expected true or false")
        return _TRUTHS[text.lower()]
    if "Sequence" in kind:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if "int" in kind or "float" in kind:
        try:
            return int(text) if "int" in kind else float(text)
        except ValueError:
            raise UsageError(f"{what} is {text!r}, expected a number") from None
    return Path(text) if "Path" in kind and "str" not in kind else text
