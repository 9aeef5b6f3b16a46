"""Suspects: judged pairs as an audit folder keeps them, what people decided about them, and the data set without the rejected.

audit/            settings.json     data, settings and fingerprint; the audit goes on only with the same
                  fold-0.npz …      what each model said of its fold
                  pairs.jsonl       all pairs, most suspicious first
                  review.html       the first of them, to be looked at
                  decisions.json    what was imported
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from crossbit.data.manifest import Manifest
from crossbit.data.noise_pairs import places
from crossbit.errors import DataError, FingerprintError, UsageError

PAIRS, DECISIONS = "pairs.jsonl", "decisions.json"
FORMAT = 1
MOST_BYTES = 64 * 2**20
"""Of a file of decisions; more than that was not written by a review page."""

Key = tuple[str, str, int]
"""Which pair: the item's id, the caption's language, and its place among the item's captions in that language."""


@dataclass(frozen=True)
class Suspect:
    """One judged pair.

    Args:
        item: the item's id.
        path: of its media, relative to the data set's root.
        lang: of the caption.
        place: which of the item's captions in that language, from 0.
        caption: the text.
        probability: that the pair is wrong.
        kind: "partial" where the two have something in common, else "complete"; of pairs more probably right, "".
        better_caption: a text of the data set that would fit the item better; empty where none does.
        better_item: id of the item that the caption would fit better; empty where none does.
        better_path: of its media.
    """

    item: str
    path: str
    lang: str
    place: int
    caption: str
    probability: float
    kind: Literal["complete", "partial", ""] = ""
    better_caption: str = ""
    better_item: str = ""
    better_path: str = ""

    @property
    def key(self) -> Key:
        """Say which pair it is."""
        return self.item, self.lang, self.place


def write_suspects(suspects: Iterable[Suspect], folder: Path) -> Path:
    """Write all pairs, one a line, whole or not at all."""
    lines = [json.dumps(asdict(suspect), ensure_ascii=False) for suspect in suspects]
    return _write(folder / PAIRS, "\n".join(lines) + "\n")


def read_suspects(folder: Path) -> list[Suspect]:
    """Read the pairs of an audit, most suspicious first.

    Raises:
        DataError: there is no finished audit in the folder, or its list is damaged.
    """
    path = folder / PAIRS
    if not path.is_file():
        raise DataError(f"{folder}: no finished audit, expected {PAIRS} in it", "run `crossbit audit DATA` first")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(Suspect(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{path}:{number}: not a judged pair ({error})", "delete the folder and audit again"
            ) from error
    return found


def read_decisions(path: Path, fingerprint: str, suspects: Sequence[Suspect]) -> dict[Key, str]:
    """Read what people decided, as the review page exports it: by pair, "accept" or "reject".

    Raises:
        DataError: it is no such file; the message names the first entry that is wrong.
        FingerprintError: the decisions were made about another audit.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected decisions that a review page exported")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path}: {path.stat().st_size:,} bytes, expected decisions of at most {MOST_BYTES:,}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}), expected decisions that a review page exported") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT or not isinstance(record.get("decisions"), list):
        raise DataError(f"{path}: not a file of decisions, expected `format` {FORMAT} and a list `decisions`")
    if record.get("audit") != fingerprint:
        raise FingerprintError(
            f"{path}: decisions about the audit {record.get('audit')!r}, expected {fingerprint!r}",
            "name the folder of that audit with --output",
        )
    known = {suspect.key: suspect.caption for suspect in suspects}
    found: dict[Key, str] = {}
    for number, entry in enumerate(record["decisions"]):
        fields = entry if isinstance(entry, dict) else {}
        key = fields.get("item"), fields.get("lang"), fields.get("place")
        if not _is_key(key) or known.get(key) is None or known[key] != fields.get("caption"):  # type: ignore[arg-type, index]
            raise DataError(f"{path}: decision {number} is about {key}, expected a pair of this audit with its caption")
        if fields.get("decision") not in ("accept", "reject"):
            raise DataError(f"{path}: decision {number} is {fields.get('decision')!r}, expected accept or reject")
        found[key] = fields["decision"]  # type: ignore[index]
    return found


def write_decisions(decisions: Mapping[Key, str], fingerprint: str, suspects: Sequence[Suspect], folder: Path) -> Path:
    """Keep decisions in the audit's folder, in the format of the review page."""
    caption = {suspect.key: suspect.caption for suspect in suspects}
    entries = [
        {"item": key[0], "lang": key[1], "place": key[2], "caption": caption[key], "decision": decision}
        for key, decision in sorted(decisions.items())
    ]
    record = {"format": FORMAT, "audit": fingerprint, "decisions": entries}
    return _write(folder / DECISIONS, json.dumps(record, ensure_ascii=False, indent=1) + "\n")


def rejected(suspects: Sequence[Suspect], decisions: Mapping[Key, str], above: float | None = None) -> set[Key]:
    """Say which pairs go: those that were rejected, and with `above` also those more suspicious that nobody accepted.

    Raises:
        UsageError: `above` is no probability.
    """
    if above is not None and not 0 < above <= 1:
        raise UsageError(f"--reject-above {above}, expected a probability between 0 and 1")
    gone = {key for key, decision in decisions.items() if decision == "reject"}
    if above is not None:
        gone |= {s.key for s in suspects if s.probability > above and decisions.get(s.key) != "accept"}
    return gone


def without(manifest: Manifest, gone: set[Key]) -> Manifest:
    """Give the manifest without some pairs; an item that has no caption left goes with its last one."""
    items = []
    for item in manifest:
        kept = tuple(c for place, c in places(item) if (item.id, c.lang, place) not in gone)
        if kept or not item.captions:
            items.append(item if len(kept) == len(item.captions) else replace(item, captions=kept))
    return Manifest(manifest.name, manifest.root, tuple(items))


def _is_key(key: tuple[Any, Any, Any]) -> bool:
    return isinstance(key[0], str) and isinstance(key[1], str) and isinstance(key[2], int)


def _write(path: Path, text: str) -> Path:
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path
