"""Under which licence each source of `picto` stands, who is to be named, and what its class allows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from crossbit.data.manifest import Manifest
from crossbit.errors import ConfigError, ManifestError

FILE = "LICENCES.json"
LicenceClass = Literal["permissive", "share-alike", "copyleft"]
CLASSES: tuple[str, ...] = get_args(LicenceClass)


@dataclass(frozen=True)
class Licence:
    """What a source asks of those who use it.

    Args:
        spdx: identifier in SPDX's list.
        attribution: the sentence that goes along with whatever is passed on.
        package: where the source comes from.
    """

    spdx: str
    attribution: str
    package: str


CLASS_OF: Mapping[str, LicenceClass] = {
    "Apache-2.0": "permissive",
    "CC-BY-4.0": "permissive",
    "MIT": "permissive",
    "Unicode-3.0": "permissive",
    "CC0-1.0": "permissive",
    "CC-PDDC": "permissive",
    "CC-BY-SA-4.0": "share-alike",
    "GPL-2.0-or-later": "copyleft",
    "GPL-2.0-only": "copyleft",
    "GPL-3.0-or-later": "copyleft",
}
"""permissive: name the authors. share-alike: pass on under the same terms. copyleft: the GPL's; prepared, never passed on."""

_FLUENT = "Drawings: Fluent Emoji, Microsoft Corporation, MIT."
_STAMPS = "Tux Paint stamps, the Tux Paint developers and contributors, GPL-2.0-or-later."
LICENCES: Mapping[str, Licence] = {
    "noto": Licence("Apache-2.0", "Drawings: Noto Emoji, Google LLC, Apache-2.0.", "@iconify-json/noto"),
    "twemoji": Licence(
        "CC-BY-4.0", "Drawings: Twemoji, Twitter, Inc. and other contributors, CC BY 4.0.", "@iconify-json/twemoji"
    ),
    "openmoji": Licence("CC-BY-SA-4.0", "Drawings: OpenMoji, openmoji.org, CC BY-SA 4.0.", "@iconify-json/openmoji"),
    "fluent-flat": Licence("MIT", _FLUENT, "@iconify-json/fluent-emoji-flat"),
    "fluent-3d": Licence("MIT", _FLUENT, "@iconify-json/fluent-emoji"),
    "clips": Licence("MIT", "Animations: Fluent Emoji, Microsoft Corporation, MIT.", "@lobehub/fluent-emoji-anim-1…4"),
    "stamps": Licence("GPL-2.0-or-later", _STAMPS, "tuxpaint-stamps-default"),
    "speech": Licence("GPL-2.0-or-later", f"Voices: {_STAMPS}", "tuxpaint-stamps-default"),
    "sounds": Licence("GPL-2.0-or-later", f"Sounds: {_STAMPS}", "tuxpaint-stamps-default"),
    "clipart": Licence("CC-PDDC", "Clip art: Open Clip Art Library, public domain.", "openclipart-svg"),
    "names": Licence("Unicode-3.0", "Names and keywords: Unicode CLDR, Unicode License v3.", "cldr-annotations-full"),
    "groups": Licence("MIT", "Groups, tags, composed names: emojibase, Miles Johnson, MIT.", "emojibase-data"),
    "events": Licence("MIT", "Made of animations: Fluent Emoji, Microsoft Corporation, MIT.", "made here of clips"),
    "scenes": Licence(
        "GPL-2.0-or-later", f"Made of drawings and stamps: {_STAMPS}", "made here of drawings and stamps"
    ),
    "espeak": Licence("Unicode-3.0", "Names of Unicode CLDR, spoken by eSpeak NG.", "espeak-ng"),
}
"""Source to its licence. An item may say another of its own, such as a scene that is made of permissive drawings alone."""


def licence_of(source: str) -> str:
    """Give a source's licence as SPDX identifier."""
    return LICENCES[source].spdx


def class_of(spdx: str) -> LicenceClass:
    """Give a licence's class.

    Raises:
        ManifestError: nobody has said yet what this licence allows.
    """
    try:
        return CLASS_OF[spdx]
    except KeyError:
        raise ManifestError(
            f"licence {spdx!r}: in no class, expected one of {sorted(CLASS_OF)}", "say an SPDX identifier as `licence`"
        ) from None


def strictest(licences: Iterable[str]) -> str:
    """Give the licence that an item made of several has to be passed on under: of the last class that occurs."""
    return max(sorted(set(licences)), key=lambda spdx: CLASSES.index(class_of(spdx)))


def of_licence(manifest: Manifest, *classes: str) -> Manifest:
    """Keep the items whose licence is of these classes.

    Raises:
        ConfigError: no such class.
        ManifestError: an item has no licence or an unknown one, or nothing is left.
    """
    if unknown := sorted(set(classes) - set(CLASSES)):
        raise ConfigError(f"licences: found {unknown[0]!r}, expected of {', '.join(CLASSES)}")
    for item in manifest:
        if not item.licence:
            raise ManifestError(
                f"{manifest.name}: item {item.id!r} has no licence, expected one to choose by",
                "give every item a `licence`, or leave the choice by licence away",
            )
    items = tuple(item for item in manifest if class_of(item.licence) in classes)
    if not items:
        found = sorted({class_of(item.licence) for item in manifest})
        raise ManifestError(f"{manifest.name}: no items of licence class {'+'.join(classes)}, it has {found}")
    return replace(manifest, items=items)


def write_table(folder: Path, sources: Iterable[str]) -> None:
    """Write the licences of the sources that are there, and of their names, beside the data."""
    rows = {
        source: {**asdict(LICENCES[source]), "class": class_of(LICENCES[source].spdx)}
        for source in (*dict.fromkeys(sources), "names", "groups")
    }
    (folder / FILE).write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_table(folder: Path) -> dict[str, dict[str, str]]:
    """Read the licences beside prepared data; empty where there are none."""
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ManifestError(f"{path}: {error}, expected JSON", "prepare the data again") from error
