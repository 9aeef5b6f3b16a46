"""Count how many of the first hundred suspects of the clip art are wrong, beside a hundred pairs drawn blindly; draw a sheet.

    crossbit audit picto:clipart --languages en --learn-from picto -o audits/clipart
    python tools/clipart_suspects.py audits/clipart docs/pictures/clipart-suspects.png results/picto-clipart/suspects.json

Both hundreds were looked at once, not blindly, with the same question: does the caption say what is there? "wrong": it names
another thing, or says nothing of what is seen ("office" on a light bulb). "partly": some of its words are wrong, or it is
misspelt, damaged, a joke, in another language than it claims, or too wide to find the picture by. Everything else is right,
also what only experts know. The judgements below are those of the audit whose first hundred have the mark `JUDGED`; for others
the program refuses to count.
"""

from __future__ import annotations

import io
import json
import sys
import textwrap
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from crossbit.cli.data import open_data
from crossbit.evaluation.machine import machine
from crossbit.evaluation.result import now
from crossbit.evaluation.suspects import Suspect, read_suspects
from crossbit.media.image import thumbnail

FIRST = 100
JUDGED, DRAWN = "9840d84a91058960", "087e63ad66787b5a"

WRONG = {
    3: "a flower", 10: "a black mountain of ink, the mark of Inkscape", 14: "a teacher at a blackboard", 18: "a palette",
    24: "a monitor", 28: "scissors", 29: "somebody reading", 32: "a red shape: the drawing is damaged",
    38: "a board with dots, the hackers' emblem", 42: "a light bulb", 45: "a blue plate", 53: "an abstract figure",
    61: "an empty circle: the letter is missing", 82: "an arrow",
}  # fmt: skip
PARTLY = {
    7: "a face, no logo", 8: "a joke about a road sign", 12: "a joke about a footballer", 13: "people, misspelt",
    16: "a lizard in French, damaged", 19: "a marshmallow, no comet and no fire", 26: "a head, no smiley",
    30: "a skull, no smiley", 31: "a grey-haired man", 40: "a cross, no office", 43: "a woman, no smiley",
    44: "a stamp, in Italian", 47: "in a bar, in Italian", 58: "an electronic letter", 60: "a house with a dish, no computer",
    64: "a man, no crystal", 65: "traffic lights' men, no flag", 73: "a man, no crystal", 83: "evolution, no halloween",
    87: "a scratching post, no cat", 89: "a landscape; \"place\" is too wide", 100: "a thumbtack, no education",
}  # fmt: skip
DRAWN_WRONG = {9: "a hair dryer", 10: "a skier", 12: "the mark of Inkscape"}
DRAWN_PARTLY = {5: "an arrow, no computer", 31: "a mountain", 34: "in a bar, in Italian", 41: "a man and a moral"}

COLUMNS, SHOWN_PARTLY, SHOWN_RIGHT = 6, 7, 3
WIDE, HIGH, EDGE = 170, 206, 130
COLOURS = {"wrong": "#c62828", "partly": "#ef9a00", "right": "#2e7d32"}


def mark(pairs: list[Suspect]) -> str:
    """Hash which pairs these are, in their order."""
    return sha256(json.dumps([[*pair.key, pair.caption] for pair in pairs]).encode()).hexdigest()[:16]


def drawn(suspects: list[Suspect]) -> list[Suspect]:
    """Draw pairs blindly, in the order of their keys."""
    ordered = sorted(suspects, key=lambda suspect: suspect.key)
    rows = np.random.default_rng(0).permutation(len(ordered))[:FIRST]
    return [ordered[row] for row in sorted(rows.tolist())]


def main(folder: Path, sheet: Path, table: Path) -> None:
    """Count, print and draw."""
    suspects = read_suspects(folder)
    first, blind = suspects[:FIRST], drawn(suspects)
    for pairs, known in ((first, JUDGED), (blind, DRAWN)):
        if mark(pairs) != known:
            raise SystemExit(f"{folder}: other pairs ({mark(pairs)}) than were looked at ({known})")
    counts = {
        "first": {"pairs": FIRST, "wrong": len(WRONG), "partly": len(PARTLY)},
        "drawn blindly": {"pairs": FIRST, "wrong": len(DRAWN_WRONG), "partly": len(DRAWN_PARTLY)},
    }
    judged = [
        {**{name: getattr(pair, name) for name in ("item", "caption", "probability", "kind", "better_caption")},
         "verdict": verdict(rank), "shows": {**WRONG, **PARTLY}.get(rank, "")}
        for rank, pair in enumerate(first, start=1)
    ]  # fmt: skip
    data = open_data("picto:clipart", ["en"])
    about = {
        "command": " ".join(["python", *sys.argv]), "date": now(), "machine": machine(),
        "data": {"name": data.name, "fingerprint": data.fingerprint}, "marks": [JUDGED, DRAWN],
    }  # fmt: skip
    record = {
        **about,
        "pairs": len(suspects),
        "suspects": sum(bool(s.kind) for s in suspects),
        **counts,
        "judged": judged,
    }
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draw(first, sheet)
    for name, count in counts.items():
        print(f"{name}: {count['wrong']} wrong and {count['partly']} partly of {count['pairs']}")


def verdict(rank: int) -> str:
    """Say what was judged of a suspect."""
    return "wrong" if rank in WRONG else "partly" if rank in PARTLY else "right"


def draw(first: list[Suspect], sheet: Path) -> None:
    """Show all wrong ones, and the first of the others."""
    data = open_data("picto:clipart", ["en"])
    files = {item.id: data.file(item) for item in data}
    right = [rank for rank in range(1, FIRST + 1) if verdict(rank) == "right"]
    ranks = [*WRONG, *list(PARTLY)[:SHOWN_PARTLY], *right[:SHOWN_RIGHT]]
    page = Image.new("RGB", (COLUMNS * WIDE, -(-len(ranks) // COLUMNS) * HIGH), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for number, rank in enumerate(ranks):
        left, top, pair = number % COLUMNS * WIDE, number // COLUMNS * HIGH, first[rank - 1]
        picture = Image.open(io.BytesIO(thumbnail(files[pair.item], EDGE))).convert("RGB")
        page.paste(picture, (left + (WIDE - picture.width) // 2, top + 8 + (EDGE - picture.height) // 2))
        pen.rectangle((left + 2, top + 2, left + WIDE - 4, top + HIGH - 4), outline=COLOURS[verdict(rank)], width=2)
        words = textwrap.wrap(f"{rank}. {pair.caption}", 25)
        lines = [*words[:2], words[2][:22] + " ..."] if len(words) > 3 else words[:3]
        pen.text((left + 8, top + EDGE + 16), "\n".join(lines), fill="black", font=font)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    page.quantize(128).save(sheet, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
