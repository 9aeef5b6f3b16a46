"""Write src/crossbit/data/imagenet/nouns.csv from WordNet's own database files, as Debian packages them.

    apt-get download wordnet-base && dpkg -x wordnet-base_*.deb FOLDER
    python tools/make_imagenet_nouns.py FOLDER/usr/share/wordnet

A row is a noun that is no class, and the classes that it means or stands nearest to: those below it in the tree of WordNet,
or below its nearest ancestor that has some.
"""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "src" / "crossbit" / "data" / "imagenet"
KINDS = {5, 6, 8, 13, 15, 17, 18, 19, 20, 25, 27}
"""WordNet's files of things that can be seen: animals, artefacts, bodies, food, places, objects, people, plants, substances."""
MOST_CLASSES, MOST_NEAR = 150, 60
"""A noun that means more classes, or stands near more, says too little of a picture."""
SIBLINGS = 12
"""Nouns that no text of WordNet's corpus uses are taken only one step away from so few classes."""


@dataclass(frozen=True)
class Noun:
    """A synset: words, how often WordNet's corpus uses it, gloss and hypernyms."""

    kind: int
    words: tuple[str, ...]
    uses: int
    parents: tuple[str, ...]


def read_nouns(folder: Path) -> dict[str, Noun]:
    """Read `data.noun` and the counts of `cntlist.rev`."""
    counts = {}
    for line in (folder / "cntlist.rev").read_text(encoding="latin-1").splitlines():
        key, _, count = line.split()
        counts[key.split("::")[0]] = int(count)
    found = {}
    for line in (folder / "data.noun").read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):
            continue
        field = line.partition("|")[0].split()
        kind, many = int(field[1]), int(field[3], 16)
        words = [(field[4 + 2 * i], int(field[5 + 2 * i], 16)) for i in range(many)]
        uses = sum(counts.get(f"{word.lower()}%1:{kind:02d}:{number:02d}", 0) for word, number in words)
        links = 4 + 2 * many
        pointers = [field[links + 1 + 4 * i : links + 3 + 4 * i] for i in range(int(field[links]))]
        parents = tuple("n" + place for symbol, place in pointers if symbol in ("@", "@i"))
        found["n" + field[0]] = Noun(kind, tuple(word.replace("_", " ") for word, _ in words), uses, parents)
    return found


def ancestors(synset: str, nouns: dict[str, Noun]) -> dict[str, int]:
    """Give the ancestors with their distance."""
    steps: dict[str, int] = {}
    waiting = deque([(synset, 0)])
    while waiting:
        at, step = waiting.popleft()
        for parent in nouns[at].parents:
            if parent not in steps:
                steps[parent] = step + 1
                waiting.append((parent, step + 1))
    return steps


def main(folder: Path) -> None:
    """Write the table and SOURCE-nouns.txt."""
    nouns = read_nouns(folder)
    rows = list(csv.DictReader((FOLDER / "classes.csv").read_text(encoding="utf-8").splitlines()))
    below: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        for synset in (row["synset"], *ancestors(row["synset"], nouns)):
            below[synset].add(int(row["index"]))
    classes = {row["synset"] for row in rows}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["synset", "names", "steps", "classes"])
    for synset, noun in sorted(nouns.items()):
        if noun.kind not in KINDS or synset in classes:
            continue
        steps, near = 0, synset
        if synset not in below:
            up = [
                (step, len(below[parent]), parent)
                for parent, step in ancestors(synset, nouns).items()
                if parent in below
            ]
            if not up:
                continue
            steps, _, near = min(up)
        many = len(below[near])
        seldom = noun.uses == 0 and (steps > 1 or many > SIBLINGS)
        if many > (MOST_NEAR if steps else MOST_CLASSES) or steps > 2 or (steps and seldom):
            continue
        names = "|".join(noun.words[: 1 if steps else 2])
        writer.writerow([synset, names, steps, " ".join(map(str, sorted(below[near])))])
    (FOLDER / "nouns.csv").write_text(out.getvalue(), encoding="utf-8")
    hashes = "".join(
        f"  {hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("data.noun", "cntlist.rev")
    )
    (FOLDER / "SOURCE-nouns.txt").write_text(
        "nouns.csv: nouns of WordNet with the ImageNet classes that they mean (steps 0) or stand nearest to, one or two steps\n"
        "up the tree. Written by tools/make_imagenet_nouns.py; do not edit.\n\n"
        f"Read from Debian's wordnet-base 3.0, SHA-256 of the files read:\n{hashes}\n"
        "Words: WordNet 3.0, Copyright 2006 by Princeton University; licence in WORDNET_LICENSE.txt.\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
