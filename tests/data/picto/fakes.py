"""Small stand-ins for the packages, made on the spot."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from crossbit.data.picto.names import Entry, Names

DUCK, APPLE, FLAG, COOK = "\U0001f986", "\U0001f34e", "\U0001f1e6\U0001f1f2", "\U0001f9d1\u200d\U0001f373"

HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:cc="http://web.resource.org/cc/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
BLOCK = """<metadata><rdf:RDF><cc:Work>
  <dc:title> Red\n apple</dc:title>
  <dc:description>Taken &lt;from&gt; a tree.</dc:description>
  <dc:subject><rdf:Bag><rdf:li>fruit</rdf:li><rdf:li></rdf:li><rdf:li>red</rdf:li></rdf:Bag></dc:subject>
  <dc:publisher><cc:Agent><dc:title>The Library</dc:title></cc:Agent></dc:publisher>
  <dc:creator><cc:Agent><dc:title>Ann Author</dc:title></cc:Agent></dc:creator>
  <cc:license rdf:resource="http://web.resource.org/cc/PublicDomain"/>
</cc:Work></rdf:RDF></metadata>"""
"""The beginning of an SVG, and what it says of itself as the Open Clip Art Library writes it."""


def names() -> Names:
    """Give four emoji in three languages."""
    entries = {
        sequence: Entry(sequence, order, group, subgroup, tags)
        for order, (sequence, group, subgroup, tags) in enumerate(
            [
                (DUCK, "animals-nature", "animal-bird", ("bird",)),
                (APPLE, "food-drink", "food-fruit", ("red",)),
                (FLAG, "flags", "country-flag", ()),
                (COOK, "people-body", "person-role", ()),
            ]
        )
    }
    said = {
        "en": {DUCK: "duck", APPLE: "red apple", FLAG: "flag: Armenia", COOK: "cook"},
        "de": {DUCK: "Ente", APPLE: "roter Apfel", COOK: "Koch"},
        "it": {DUCK: "anatra", APPLE: "mela rossa", COOK: "persona che cucina"},
    }
    return Names(entries, said, {"en": {DUCK: ("bird", "pond"), APPLE: ("fruit",)}, "it": {DUCK: ("uccello",)}})


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def cut_out_photo(seed: int = 0, edge: int = 60) -> bytes:
    """Give a disc of many shades on a transparent page."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:edge, :edge]
    page = np.zeros((edge, edge, 4), np.uint8)
    disc = (rows - edge / 2) ** 2 + (columns - edge / 2) ** 2 < (edge / 3) ** 2
    page[disc] = np.concatenate([rng.integers(0, 200, (int(disc.sum()), 3)), np.full((int(disc.sum()), 1), 255)], 1)
    return png(page)


def sound(seconds: float, pitch: float = 440.0, loudness: float = 0.3, rate: int = 22050) -> bytes:
    samples = loudness * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="OGG", subtype="VORBIS")
    return buffer.getvalue()


def written(root: Path, files: dict[str, bytes | str]) -> Path:
    """Write files below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root
