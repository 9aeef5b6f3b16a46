"""Which format a file or folder is in, from its name and its first bytes; each format has one sign in `SIGNS`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crossbit.data.formats.gather import SUFFIXES
from crossbit.data.manifest import Item
from crossbit.errors import ManifestError

_HEAD = 64 << 10
_MANY = 10_000
"""Names of a folder that are looked at."""
_FIELDS = set(Item.__dataclass_fields__)


@dataclass(frozen=True)
class Sight:
    """What can be seen of a data set without reading it."""

    path: Path

    @cached_property
    def suffix(self) -> str:
        """Give the suffix in small letters, that below `.gz`; "" for a folder."""
        name = self.path.name.lower().removesuffix(".gz")
        return "" if self.path.is_dir() else Path(name).suffix

    @cached_property
    def names(self) -> frozenset[str]:
        """Give the names of the files and folders of the folder and of those right below it, as `data/a.parquet`."""
        if not self.path.is_dir():
            return frozenset()
        found: list[str] = []
        for entry in sorted(self.path.iterdir())[:_MANY]:
            found.append(entry.name)
            if entry.is_dir() and not entry.name.startswith(".") and len(found) < _MANY:
                found += [f"{entry.name}/{inner.name}" for inner in sorted(entry.iterdir())[:_MANY]]
        return frozenset(found)

    @cached_property
    def head(self) -> str:
        """Give the beginning of the file as text; "" for a folder, or a file that is gzipped."""
        if not self.path.is_file():
            return ""
        with self.path.open("rb") as file:
            return file.read(_HEAD).decode("utf-8-sig", "replace")

    @cached_property
    def record(self) -> dict[str, object]:
        """Give the first line as a JSON object, empty if it is none."""
        line = self.head.lstrip().partition("\n")[0]
        try:
            found = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Give the names in the first line of a table of text."""
        line = self.head.partition("\n")[0].rstrip("\r")
        return tuple(name.strip().strip('"') for name in line.split("\t" if self.suffix == ".tsv" else ","))

    def has(self, pattern: str) -> bool:
        """Say whether a name of the folder matches."""
        return any(re.fullmatch(pattern, name) for name in self.names)

    def holds(self, *fields: str) -> bool:
        """Say whether all of these stand in the head as JSON keys."""
        return all(re.search(rf'"{re.escape(field)}"\s*:', self.head) for field in fields)


def _arrow(sight: Sight) -> frozenset[str]:
    from crossbit.data.formats.arrow import schema_of

    return frozenset(schema_of(sight.path).names) if sight.suffix in (".arrow", ".parquet") else frozenset()


def _is_manifest(sight: Sight) -> bool:
    if sight.path.is_dir():
        return bool({"manifest.jsonl", "manifest.arrow"} & sight.names)
    if sight.suffix == ".arrow":
        return _arrow(sight) >= {"id", "path", "modality", "captions"}
    return sight.suffix == ".jsonl" and {"id", "path"} <= set(sight.record) <= _FIELDS


def _is_hf(sight: Sight) -> bool:
    if sight.path.is_dir():
        return bool({"dataset_info.json", "dataset_dict.json", "state.json"} & sight.names) or sight.has(
            r"([^/]+/)?[^/]*\.parquet"
        )
    if sight.suffix == ".parquet":
        from crossbit.data.formats.arrow import media_columns, schema_of

        schema = schema_of(sight.path)
        return bool(media_columns(schema)) or b"huggingface" in (schema.metadata or {})
    return sight.suffix == ".arrow"


def _is_folder(sight: Sight) -> bool:
    # one sentence beside one medium is sign enough
    stems = {name.rpartition(".")[0] for name in sight.names if Path(name).suffix.lower() in SUFFIXES}
    texts = {re.sub(r"\.[a-z]{2,3}$", "", name[:-4]) for name in sight.names if name.endswith(".txt")}
    return bool(stems & texts)


def _is_mat(sight: Sight, name: str) -> bool:
    """Say whether the name of a MATLAB file, or of the folder of some, tells the set; nothing in them does."""
    files = [file.lower() for file in (sight.path.name, *sight.names) if file.lower().endswith(".mat")]
    return bool(files) and any(re.search(name, text) for text in (sight.path.resolve().name.lower(), *files))


def _is_audiocaps(sight: Sight) -> bool:
    tables = [sight.path / f"{name}.csv" for name in ("train", "val", "test")] if sight.path.is_dir() else [sight.path]
    return any("audiocap_id" in Sight(table).columns for table in tables)


SIGNS: dict[str, Callable[[Sight], bool]] = {
    "manifest": _is_manifest,
    "webdataset": lambda s: s.suffix == ".tar" or s.has(r"([^/]+/)?[^/]+\.tar"),
    "precomp": lambda s: s.has(r"(train|dev|test|testall)_ims\.npy"),
    "hf": _is_hf,
    "mirflickr25k": lambda s: _is_mat(s, r"flickr[-_]?25k|mirflickr|mir_"),
    "nuswide10": lambda s: _is_mat(s, r"nus[-_]?wide.*10"),
    "nuswide21": lambda s: _is_mat(s, r"nus[-_]?wide.*21"),
    "iaprtc12": lambda s: _is_mat(s, r"iapr"),
    "coco-hashing": lambda s: _is_mat(s, r"coco"),
    "msrvtt": lambda s: (
        s.has(r"([^/]+/)?(MSRVTT_.*|(train_val|test)_videodatainfo\.json)")
        or (s.suffix == ".json" and s.holds("video_id", "start time"))
    ),
    "msvd": lambda s: s.has(r"AllVideoDescriptions\.txt|youtube_mapping\.txt|raw-captions\.(json|pkl)"),
    "vatex": lambda s: s.has(r"vatex_.*\.json") or s.suffix == ".json" and s.holds("videoID", "enCap"),
    "didemo": lambda s: s.has(r"(train|val|test)_data\.json") or s.suffix == ".json" and s.holds("video", "times"),
    "activitynet": lambda s: s.has(r"val_[12]\.json") or s.suffix == ".json" and s.holds("timestamps", "sentences"),
    "clotho": lambda s: s.has(r"clotho_captions_.*\.csv") or "caption_5" in s.columns,
    "audiocaps": _is_audiocaps,
    "multi30k": lambda s: s.has(r"image_splits|task1|data/task1"),
    "xtd10": lambda s: s.has(r"([^/]+/)?test_1kcaptions_.*\.txt"),
    "coco-cn": lambda s: s.has(r"coco-cn_(train|val|test)\.txt"),
    "eccv": lambda s: s.has(r"eccv_(image_to_caption|caption_to_image)\.json"),
    "cxc": lambda s: s.has(r"(data/)?sits_(test|val)\.csv") or "agg_score" in s.columns,
    "xm3600": lambda s: s.has(r"captions\.jsonl") or "image/key" in s.record,
    "folder": _is_folder,
    "karpathy": lambda s: s.suffix == ".json" and s.holds("filename", "sentences"),
    "jsonl": lambda s: s.suffix in (".jsonl", ".ndjson"),
    "csv": lambda s: s.suffix == ".csv",
    "tsv": lambda s: s.suffix in (".tsv", ".tab"),
    "parquet": lambda s: s.suffix == ".parquet",
}
"""Format to the question whether something is in it. Asked in this order, so put what is particular before what is general."""


def detect(path: str | Path) -> str:
    """Give the name of the format.

    Raises:
        ManifestError: there is nothing, or nothing that is known; the hint says how to name the format.
    """
    sight = Sight(Path(path))
    if "{" in str(path) and str(path).endswith(".tar"):  # a pattern for several tars
        return "webdataset"
    if not sight.path.exists():
        raise ManifestError(f"{path}: no such file or folder", "check the path")
    for name, question in SIGNS.items():
        if question(sight):
            return name
    kind = f"a folder with {len(sight.names)} names" if sight.path.is_dir() else f"a file of suffix {sight.suffix!r}"
    raise ManifestError(f"{path}: {kind}, in no format that can be told by looking", "name the format with --format")
