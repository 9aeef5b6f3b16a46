"""Prepare `picto`: fetch, draw, join, split, derive, write. What is there already is kept, so that a broken run goes on.

    packages -> parts (items with their own concepts) -> concepts joined and split -> parts derived from one split's items
             -> picto.arrow, LICENCES.json, quarantine.json, prepared.json

A part whose client is missing is left out and named; the others are prepared. Parts that were prepared before stay in: a second
call with `only={"clips"}` adds the clips.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from crossbit.cachedir import cache_dir
from crossbit.data.manifest import Item, Manifest
from crossbit.data.picto import concepts, licences
from crossbit.data.picto.looks import alike_pairs
from crossbit.data.picto.names import Names
from crossbit.data.picto.packages import FOLDER_VARIABLE, PACKAGES, disk_fault, missing_client
from crossbit.data.picto.part import Part, join
from crossbit.errors import ConfigError, ManifestError

VERSION = "1"
"""Of what is prepared and how it is split; another version lies in another folder."""
SEED = 0
LISTING, RECORD, QUARANTINE = "picto.arrow", "prepared.json", "quarantine.json"


@dataclass(frozen=True)
class Step:
    """How one part is made, by the module of `crossbit.data.picto` that has its name.

    Args:
        packages: that it needs.
        after: it is made of the split items of these parts.
        on_demand: made only when it is named.
    """

    packages: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    on_demand: bool = False


NAMES = ("cldr", "emojibase")
STEPS: dict[str, Step] = {
    "drawings": Step(("noto", "twemoji", "openmoji", "fluent-flat", "fluent-3d")),
    "stamps": Step(("stamps",)),
    "clipart": Step(("clipart",)),
    "clips": Step(("clips-1", "clips-2", "clips-3", "clips-4")),
    "speech": Step(("stamps",)),
    "sounds": Step(("stamps",)),
    "events": Step(after=("clips",)),
    "scenes": Step(after=("drawings",)),
    "espeak": Step(after=("drawings",), on_demand=True),
}
PARTS = ("names", *STEPS)


@dataclass(frozen=True)
class Prepared:
    """What a preparation made.

    Args:
        path: the manifest.
        parts: that are in it.
        left_out: part to the reason why it is not.
        seconds: what each step took.
    """

    path: Path
    parts: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def folder() -> Path:
    """Give the folder of the prepared data."""
    return cache_dir() / "data" / f"picto-{VERSION}"


def prepared() -> Path:
    """Give the manifest of the prepared data.

    Raises:
        ManifestError: it is not prepared yet: 900 MB are fetched for it, which nobody should meet unasked.
    """
    path = folder() / LISTING
    if not path.is_file():
        raise ManifestError(
            f"picto: not prepared yet, expected {path}",
            "run `crossbit data prepare picto`; it fetches up to 900 MB once (less with `--only drawings,names`)",
        )
    return path


def record() -> dict[str, Any]:
    """Read what was prepared, from which packages; empty when nothing was."""
    path = folder() / RECORD
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ManifestError(f"{path}: {error}, expected JSON", "delete it and prepare again") from error


def prepare(
    only: Collection[str] | None = None, *, languages: Sequence[str] = (), progress: bool = True, workers: int = 2
) -> Prepared:
    """Prepare parts, and write them with those that were prepared before.

    Args:
        only: of `PARTS`; None prepares all but those on demand.
        languages: that the part `espeak` speaks, besides those that it spoke before.
        progress: show bars.
        workers: so many drawings or clips are made at a time.

    Raises:
        ManifestError: no part can be prepared, or one that was named cannot; what can be is written before.
    """
    if only is not None and (unknown := sorted(set(only) - set(PARTS))):
        raise ConfigError(f"picto: no part {unknown[0]!r}, expected of {', '.join(PARTS)}")
    asked = {part for part in PARTS if part == "names" or not STEPS[part].on_demand} if only is None else set(only)
    before, spoken = record().get("parts", ()), record().get("languages", ())
    languages = tuple(dict.fromkeys([*spoken, *languages]))
    wanted = tuple(part for part in PARTS if part in asked or part in before)
    target = folder()
    clock = _Clock()
    try:
        target.mkdir(parents=True, exist_ok=True)
        found = _build(wanted, target, clock, languages, progress, workers)
        if found.items:
            with clock("write"):
                _write(target, found)
    except OSError as error:
        raise disk_fault("picto", error, 2_000_000_000) from error
    failed = [part for part in found.left_out if only is not None and part in only]
    if failed or not found.items:
        part = failed[0] if failed else next(iter(found.left_out), "picto")
        reason = found.left_out.get(part, "nothing was prepared")
        raise ManifestError(reason if reason.startswith(part) else f"{part}: {reason}", found.hints.get(part, ""))
    return Prepared(target / LISTING, tuple(found.parts), found.left_out, clock.seconds)


@dataclass
class _Found:
    """What is there so far."""

    parts: list[str] = field(default_factory=list)
    items: Sequence[Item] = ()
    quarantine: list[dict[str, str]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    clock: _Clock | None = None


class _Clock:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[tuple[str, float]] = []

    def __call__(self, name: str) -> _Clock:
        self._running.append((name, time.monotonic()))
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *fault: object) -> None:
        name, began = self._running.pop()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - began, 1)


def _build(
    wanted: Sequence[str], target: Path, clock: _Clock, languages: tuple[str, ...], progress: bool, workers: int
) -> _Found:
    found = _Found(clock=clock, languages=languages)
    names = _names(found, clock, progress)
    made: list[Part] = []
    for part in wanted:
        if part == "names" or STEPS[part].after or not _possible(part, found):
            continue
        try:
            with clock(part):
                made.append(_module(part).build(target, names, progress=progress, workers=workers))
        except ManifestError as error:
            _leave_out(part, error, found)
            continue
        found.parts.append(part)
    joined = join(*made)
    with clock("likeness"):
        alike = alike_pairs(joined.items, target, progress=progress, workers=workers)
    with clock("concepts"):
        arranged = concepts.arrange(joined.items, names, alike, seed=SEED)
    found.items, found.report = arranged.items, dict(arranged.report)
    found.quarantine += [asdict(q) for q in (*joined.quarantine, *arranged.quarantine)]
    for part in wanted:
        if part in STEPS and STEPS[part].after:
            _derive(part, target, names, found, clock, languages, progress, workers)
    return found


def _names(found: _Found, clock: _Clock, progress: bool) -> Names:
    """Load the names, or none when they cannot be had: stamps and clip art have texts of their own."""
    client = next((client for package in NAMES if (client := missing_client(package))), None)
    try:
        if client is None:
            with clock("names"):
                names = Names.load(progress=progress)
            found.parts.append("names")
            return names
        found.left_out["names"] = f"the client `{client}` is not on this machine"
    except ManifestError as error:
        _leave_out("names", error, found)
    return Names({}, {}, {})


def _possible(part: str, found: _Found) -> bool:
    """Say whether the clients of a part are there; else note why it is left out."""
    client = next((client for package in STEPS[part].packages if (client := missing_client(package))), None)
    if client:
        found.left_out[part] = f"the client `{client}` is not on this machine, expected it to fetch the packages"
        found.hints[part] = f"install `{client}`, or name a folder that holds the archives in {FOLDER_VARIABLE}"
    return client is None


def _leave_out(part: str, error: ManifestError, found: _Found) -> None:
    found.left_out[part], found.hints[part] = error.message, error.hint


def _module(part: str) -> Any:
    return import_module(f"crossbit.data.picto.{part}")


def _derive(
    part: str,
    target: Path,
    names: Names,
    found: _Found,
    clock: _Clock,
    languages: tuple[str, ...],
    progress: bool,
    workers: int,
) -> None:
    if missing := [source for source in STEPS[part].after if source not in found.parts]:
        found.left_out[part] = f"is made of {', '.join(missing)}, which are not prepared"
        found.hints[part] = f"add them: `--only {','.join([*missing, part])}`"
        return
    try:
        with clock(part):
            made = _module(part).build(
                target,
                names,
                found.items,
                **({"languages": languages} if part == "espeak" else {}),
                seed=SEED,
                progress=progress,
                workers=workers,
            )
    except ManifestError as error:
        _leave_out(part, error, found)
        return
    found.items = (*found.items, *made.items)
    found.quarantine += [asdict(q) for q in made.quarantine]
    found.parts.append(part)


def _write(target: Path, found: _Found) -> None:
    manifest = Manifest("picto", target, tuple(found.items))
    sources = Counter(item.source for item in manifest)
    licences.write_table(target, sources)
    _json(target / QUARANTINE, found.quarantine)
    manifest.write(target / LISTING)
    packages = {
        name: {"name": p.name, "version": p.version, "sha256": p.sha256}
        for part in found.parts
        for name in (NAMES if part == "names" else STEPS[part].packages)
        for p in (PACKAGES[name],)
    }
    _json(
        target / RECORD,
        {
            "version": VERSION,
            "seed": SEED,
            "parts": found.parts,
            "languages": list(found.languages),
            "left_out": found.left_out,
            "items": dict(sorted(sources.items())),
            "packages": packages,
            "report": found.report,
            "quarantined": dict(Counter(f"{q['source']}: {q['reason']}" for q in found.quarantine).most_common(40)),
            "seconds": found.clock.seconds if found.clock else {},
        },
    )


def _json(path: Path, value: Any) -> None:
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
