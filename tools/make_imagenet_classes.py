"""Write src/crossbit/data/imagenet/classes.csv from the text files of a timm wheel.

    pip download --no-deps -d FOLDER timm
    python tools/make_imagenet_classes.py FOLDER/timm-*.whl

timm itself is not a dependency: only three text files of its wheel are read. Their words are WordNet's.
"""

from __future__ import annotations

import csv
import hashlib
import io
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "src" / "crossbit" / "data" / "imagenet"
INFO = "timm/data/_info/"
ORDER, NAMES, DEFINITIONS = "imagenet_synsets.txt", "imagenet_synset_to_lemma.txt", "imagenet_synset_to_definition.txt"


def read_table(text: str) -> dict[str, str]:
    """Read lines of two fields parted by a tab."""
    return dict(line.split("\t", maxsplit=1) for line in text.splitlines() if line)


def main(wheel: Path) -> None:
    """Write the table and SOURCE.txt."""
    with zipfile.ZipFile(wheel) as archive:
        raw = {name: archive.read(INFO + name) for name in (ORDER, NAMES, DEFINITIONS)}
    text = {name: data.decode("utf-8") for name, data in raw.items()}
    names, definitions = read_table(text[NAMES]), read_table(text[DEFINITIONS])
    synsets = text[ORDER].split()
    if len(synsets) != 1000:
        sys.exit(f"{wheel}: {ORDER} has {len(synsets)} synsets, expected 1000")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["index", "synset", "names", "definition"])
    for index, synset in enumerate(synsets):
        writer.writerow([index, synset, "|".join(names[synset].split(", ")), definitions[synset].strip()])
    (FOLDER / "classes.csv").write_text(out.getvalue(), encoding="utf-8")
    hashes = "".join(f"  {hashlib.sha256(data).hexdigest()}  {INFO}{name}\n" for name, data in raw.items())
    (FOLDER / "SOURCE.txt").write_text(
        "classes.csv: the 1,000 classes of ILSVRC 2012 in the order in which classifiers number them, with every WordNet\n"
        "synonym (parted by |) and WordNet's definition. Written by tools/make_imagenet_classes.py; do not edit.\n\n"
        f"Read from {wheel.name} (the wheel's own licence: Apache-2.0), SHA-256 of the files read:\n{hashes}\n"
        "Words and definitions: WordNet 3.0, Copyright 2006 by Princeton University; licence in WORDNET_LICENSE.txt.\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
