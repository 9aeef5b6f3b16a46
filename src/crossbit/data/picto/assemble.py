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
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
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
from crossbit.data.picto.part import Part, Quarantined, join
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
    past = record()
    before, spoken = (*past.get("parts", ()), *past.get("pending", ())), past.get("languages", ())
    languages = tuple(dict.fromkeys([*spoken, *languages]))
    wanted = tuple(part for part in PARTS if part in asked or part in before)
    making = _Making(folder(), languages, progress, workers)
    try:
        making.run(wanted)
    except OSError as error:
        raise disk_fault("picto", error, 2_000_000_000) from error
    failed = [part for part in making.left_out if only is not None and part in only]
    if failed or not making.items:
        part = failed[0] if failed else next(iter(making.left_out), "picto")
        reason = making.left_out.get(part, "nothing was prepared")
        raise ManifestError(reason if reason.startswith(part) else f"{part}: {reason}", making.hints.get(part, ""))
    return Prepared(making.folder / LISTING, tuple(making.parts), making.left_out, making.seconds)


@dataclass
class _Making:
    """One preparation under way.

    Args:
        folder: of the prepared data.
        languages: that `espeak` speaks.
        progress: show bars.
        workers: so many things are made at a time.
    """

    folder: Path
    languages: tuple[str, ...]
    progress: bool
    workers: int
    parts: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    items: tuple[Item, ...] = ()
    quarantine: list[Quarantined] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, wanted: Sequence[str]) -> None:
        """Make the parts, split them, and make what is derived; all that is there is written after each derived part."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names = self._load_names()
        made = [
            part for name in wanted if name != "names" and not STEPS[name].after if (part := self._part(name, names))
        ]
        joined = join(*made)
        with self._clock("likeness"):
            alike = alike_pairs(joined.items, self.folder, progress=self.progress, workers=self.workers)
        with self._clock("concepts"):
            arranged = concepts.arrange(joined.items, names, alike, seed=SEED)
        self.items, self.report = arranged.items, dict(arranged.report)
        self.quarantine += [*joined.quarantine, *arranged.quarantine]
        self.pending = [name for name in wanted if name in STEPS and STEPS[name].after]
        self._write()
        while self.pending:
            if (derived := self._derived(self.pending.pop(0), names)) is not None:
                self.items += derived.items
                self.quarantine += derived.quarantine
                self._write()
                self._sweep(derived)

    def _load_names(self) -> Names:
        """Load the names, or none when they cannot be had: stamps and clip art have texts of their own."""
        client = next((client for package in NAMES if (client := missing_client(package))), None)
        try:
            if client is None:
                with self._clock("names"):
                    names = Names.load(progress=self.progress)
                self.parts.append("names")
                return names
            self.left_out["names"] = f"the client `{client}` is not on this machine"
        except ManifestError as error:
            self._leave_out("names", error)
        return Names({}, {}, {})

    def _part(self, name: str, names: Names) -> Part | None:
        """Make a part; note why when it cannot be made."""
        client = next((client for package in STEPS[name].packages if (client := missing_client(package))), None)
        if client:
            self.left_out[name] = f"the client `{client}` is not on this machine, expected it to fetch the packages"
            self.hints[name] = f"install `{client}`, or name a folder that holds the archives in {FOLDER_VARIABLE}"
            return None
        return self._built(name, names)

    def _derived(self, name: str, names: Names) -> Part | None:
        if missing := [source for source in STEPS[name].after if source not in self.parts]:
            self.left_out[name] = f"is made of {', '.join(missing)}, which are not prepared"
            self.hints[name] = f"add them: `--only {','.join([*missing, name])}`"
            return None
        spoken = {"languages": self.languages} if name == "espeak" else {}
        return self._built(name, names, self.items, seed=SEED, **spoken)

    def _built(self, name: str, names: Names, *items: Sequence[Item], **more: Any) -> Part | None:
        try:
            with self._clock(name):
                build = import_module(f"crossbit.data.picto.{name}").build
                made: Part = build(self.folder, names, *items, progress=self.progress, workers=self.workers, **more)
        except ManifestError as error:
            self._leave_out(name, error)
            return None
        self.parts.append(name)
        return made

    def _leave_out(self, name: str, error: ManifestError) -> None:
        self.left_out[name], self.hints[name] = error.message, error.hint

    @contextmanager
    def _clock(self, step: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[step] = round(self.seconds.get(step, 0.0) + time.monotonic() - began, 1)

    def _write(self) -> None:
        if not self.items:
            return
        with self._clock("write"):
            manifest = Manifest("picto", self.folder, self.items)
            sources = Counter(item.source for item in manifest)
            licences.write_table(self.folder, sources)
            _json(self.folder / QUARANTINE, [asdict(record) for record in self.quarantine])
            manifest.write(self.folder / LISTING)
        _json(self.folder / RECORD, self._facts(sources))

    def _sweep(self, derived: Part) -> None:
        """Delete what a derived part made for another split, in its own folders."""
        kept = {self.folder / item.path for item in derived.items}
        for source in {item.source for item in derived.items}:
            for path in (self.folder / source).rglob("*"):
                if path.is_file() and path not in kept:
                    path.unlink()

    def _facts(self, sources: Counter[str]) -> dict[str, Any]:
        packages = {
            name: {"name": p.name, "version": p.version, "sha256": p.sha256}
            for part in self.parts
            for name in (NAMES if part == "names" else STEPS[part].packages)
            for p in (PACKAGES[name],)
        }
        reasons = Counter(f"{record.source}: {record.reason}" for record in self.quarantine)
        return {
            "version": VERSION,
            "seed": SEED,
            "parts": self.parts,
            "pending": self.pending,
            "languages": list(self.languages),
            "left_out": self.left_out,
            "items": dict(sorted(sources.items())),
            "packages": packages,
            "report": self.report,
            "quarantined": dict(reasons.most_common(40)),
            "seconds": self.seconds,
        }


def _json(path: Path, value: Any) -> None:
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
