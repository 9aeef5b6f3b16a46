"""The tables of docs/hashing.md: bits against recall, MAP, bytes and milliseconds, between two marks of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossbit.errors import DataError
from crossbit.evaluation.hashing_points import HEADLINE, HashingPoint, systems_of
from crossbit.evaluation.page import put_between

BEGIN = "<!-- begin of what `crossbit bench hashing --page` writes -->\n"
END = "<!-- end of what `crossbit bench hashing --page` writes -->\n"
SPEED = "hashing-speed.json"
"""Name of the file of timings."""

AT = 128
"""The length of the table in which everything stands side by side."""

NAMES = {"captions": "rsum of caption retrieval", "labels": "MAP of all, a common label is relevant"}


def write_page(path: Path, text: str) -> None:
    """Put text between the marks of a page, and leave the rest as it is.

    Raises:
        DataError: the page is not there, or has not both marks.
    """
    put_between(path, BEGIN, END, text)


def tables(found: Sequence[HashingPoint], order: Sequence[str], speed: Mapping[str, Any] | None = None) -> str:
    """Give all tables: by length for each set and track, everything at one length, nested codes, bytes and milliseconds."""
    parts = []
    for data in dict.fromkeys(point.data for point in found):
        mine = [point for point in found if point.data == data]
        for track in HEADLINE:
            line = [point for point in mine if point.track == track]
            if line:
                seeds = max(len(point.results) for point in line)
                parts.append(
                    f"### {data}: {NAMES[track]}, {seeds} seed{'s' if seeds > 1 else ''}\n\n{by_length(line, order)}"
                )
        parts.append(f"### {data}: everything at {AT} bits\n\n{side_by_side(mine, order)}")
        if nested := nested_table(mine):
            parts.append(f"### {data}: one nested code against codes trained at each length\n\n{nested}")
    if speed:
        parts.append(f"### Bytes and milliseconds\n\n{speed_table(speed)}")
    return "\n" + "\n".join(parts)


def by_length(found: Sequence[HashingPoint], order: Sequence[str]) -> str:
    """Give the headline of every system at every length."""
    lengths = sorted({point.bits for point in found})
    known = {(point.system, point.bits): point for point in found}
    rows = []
    for system in systems_of(found, order):
        points = [known.get((system, bits)) for bits in lengths]
        rows.append([system, *("" if p is None else _cell(p) for p in points)])
    return _table(["bits", *map(str, lengths)], rows) + _line("bytes an item", lengths)


def side_by_side(found: Sequence[HashingPoint], order: Sequence[str], bits: int = AT) -> str:
    """Give recalls, MAPs, precisions and times at one length."""
    head = ["system", "i2t R@1", "t2i R@1", "rsum", "MAP", "MAP@50", "MAP@500", "MAP@5000", "P@100", "P(r≤2)", "empty"]
    head += ["training, s", "µs a picture", "µs a text", "dead bits"]
    rows = []
    for system in systems_of(found, order):
        at = {point.track: point for point in found if (point.system, point.bits) == (system, bits)}
        if not at:
            continue
        captions, labels = at.get("captions"), at.get("labels")
        recalls = (
            [captions.side(side, "recall_at_1") for side in ("image_to_text", "text_to_image")] if captions else []
        )
        cells = [*(f"{value:.1f}" for value in recalls), f"{captions.mean:.1f}"] if captions else ["", "", ""]
        for name in (
            "map_all",
            "map_at_50",
            "map_at_500",
            "map_at_5000",
            "precision_at_100",
            "precision_within_radius_2",
        ):
            cells.append(_number(labels.metric(name) if labels else None))
        cells.append(_number(labels.metric("empty_balls") if labels else None, 0))
        one = captions or labels
        assert one is not None
        cells += [f"{one.bench('cpu_seconds'):.1f}", f"{one.bench('image_us'):.0f}", f"{one.bench('text_us'):.0f}"]
        cells.append(_number(one.dead_bits(), 0))
        rows.append([system, *cells])
    return _table(head, rows)


def nested_table(found: Sequence[HashingPoint]) -> str:
    """Give what the first bits of a nested code lose or win against a code of that length; empty without nested codes."""
    known = {(point.track, point.system, point.bits): point for point in found}
    lengths = sorted({point.bits for point in found})
    rows = []
    for track in HEADLINE:
        for system in sorted({s for t, s, _ in known if t == track and s.endswith("-nested")}):
            cells = []
            for bits in lengths:
                nested, own = known.get((track, system, bits)), known.get((track, system.removesuffix("-nested"), bits))
                cells.append(
                    "" if nested is None or own is None else f"{nested.mean:.1f} ({nested.mean - own.mean:+.1f})"
                )
            rows.append([f"{system}, {HEADLINE[track]}", *cells])
    return _table(["bits", *map(str, lengths)], rows) if rows else ""


def speed_table(speed: Mapping[str, Any]) -> str:
    """Give bytes an item and milliseconds a query of scanning codes, and of comparing float32 rows."""
    rows = [
        [
            row["name"],
            f"{row['bytes']:,}",
            f"{row['milliseconds']:.2f}",
            f"{row['bytes'] * speed['items'] / 2**20:,.0f}",
        ]
        for row in speed["rows"]
    ]
    head = ["compared", "bytes an item", "ms a query", "MB in all"]
    text = f"The ten nearest of {speed['items']:,} random items, one thread, median of {speed['rounds']} rounds"
    return f"{text} ({speed['machine']['cpu']}).\n\n{_table(head, rows)}"


def read_speed(path: Path) -> Mapping[str, Any] | None:
    """Read the file of the timings, None where there is none.

    Raises:
        DataError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"items", "rounds", "rows", "machine"} <= set(found):
            raise ValueError("fields are missing")
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path}: no timings ({error})", "write them again: `crossbit bench hashing --speed`"
        ) from error
    return found


def _cell(point: HashingPoint) -> str:
    return f"{point.mean:.1f}" + (f" ± {point.spread:.1f}" if len(point.values) > 1 else "")


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _line(name: str, lengths: Sequence[int]) -> str:
    return "| " + " | ".join([name, *(str(-(-bits // 8)) for bits in lengths)]) + " |\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = "|---" + "|--:" * (len(head) - 1) + "|"
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"
