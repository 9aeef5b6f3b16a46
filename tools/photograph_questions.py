"""Ask the default model forty questions in ten languages over photographs of Debian packages; write table and contact sheet.

    apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 mate-backgrounds
    for archive in *.deb; do dpkg -x $archive unpacked; done
    mkdir photographs && find unpacked -path '*backgrounds/*.jpg' -not -path '*/abstract/*' -not -path '*/desktop/*' \
        -exec cp {} photographs ';'
    python tools/photograph_questions.py photographs docs/pictures/forty-questions.png results/base/forty-questions.json

What counts as right was written down from the pictures before the model was asked. On the sheet only pictures under Creative
Commons licences are shown (those of lomiri-wallpapers, whose file names end in their author's); the others are named.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path

from PIL import Image, ImageDraw

from crossbit import Collection, Model
from crossbit.evaluation.machine import machine
from crossbit.evaluation.result import now

CLOCK, BEETLE, FIG, BRUSHES = ("greentock",), ("LadyBird",), ("Picture_0B",), ("Picture_1A",)
SEEDS, YELLOW, PEAKS, DOGS = ("seeding", "TwoWings"), ("YellowFlower",), ("picosdeeuropa", "aitzgorri"), ("friends",)
SUNSET, STREAM, TREE_BIRD, DROP = ("sunset",), ("life",), ("Kleiber",), ("Aqua",)
WET_LEAF, GRASS, STORM, STARS = ("RainDrops",), ("GreenMeadow",), ("Storm",), ("Infinite-Sea",)
DRUM, DUNE, ORANGE, FLYING = ("Wine",), ("Dune",), ("FreshFlower", "Garden"), ("free",)

QUESTIONS = (
    ("a clock", "en", "a clock", CLOCK),
    ("two dogs looking out of a window", "en", "two dogs looking out of a window", DOGS),
    ("paintbrushes", "en", "paintbrushes", BRUSHES),
    ("sunset over the hills", "en", "sunset over the hills", SUNSET),
    ("ein Marienkäfer", "de", "a ladybird", BEETLE),
    ("Berge mit Schnee", "de", "mountains with snow", PEAKS),
    ("eine gelbe Blume", "de", "a yellow flower", YELLOW),
    ("ein Wassertropfen", "de", "a drop of water", DROP),
    ("une coccinelle", "fr", "a ladybird", BEETLE),
    ("des pinceaux", "fr", "paintbrushes", BRUSHES),
    ("un ruisseau dans la forêt", "fr", "a brook in the forest", STREAM),
    ("une figue coupée", "fr", "a cut fig", FIG),
    ("un reloj", "es", "a clock", CLOCK),
    ("diente de león", "es", "a dandelion", SEEDS),
    ("un tambor", "es", "a drum", DRUM),
    ("nubes de tormenta", "es", "storm clouds", STORM),
    ("un fiore arancione", "it", "an orange flower", ORANGE),
    ("una cascata", "it", "a waterfall", STREAM),
    ("un uccello su un tronco", "it", "a bird on a trunk", TREE_BIRD),
    ("due cani", "it", "two dogs", DOGS),
    ("um relógio", "pt", "a clock", CLOCK),
    ("montanhas", "pt", "mountains", PEAKS),
    ("um pássaro voando", "pt", "a flying bird", FLYING),
    ("folha com gotas de chuva", "pt", "a leaf with drops of rain", WET_LEAF),
    ("часы", "ru", "a clock", CLOCK),
    ("божья коровка", "ru", "a ladybird", BEETLE),
    ("собаки", "ru", "dogs", DOGS),
    ("звёздное небо", "ru", "a starry sky", STARS),
    ("たんぽぽ", "ja", "a dandelion", SEEDS),
    ("山", "ja", "mountains", PEAKS),
    ("草", "ja", "grass", (*GRASS, *DUNE)),
    ("夕日", "ja", "the evening sun", SUNSET),
    ("瀑布", "zh", "a waterfall", STREAM),
    ("瓢虫", "zh", "a ladybird", BEETLE),
    ("画笔", "zh", "paintbrushes", BRUSHES),
    ("海边的草", "zh", "grass by the sea", DUNE),
    ("ساعة", "ar", "a clock", CLOCK),
    ("زهرة صفراء", "ar", "a yellow flower", YELLOW),
    ("كلاب", "ar", "dogs", DOGS),
    ("عاصفة", "ar", "a storm", STORM),
)
SHOWN = 3
THUMBNAIL, ROW, WORDS = (120, 90), 106, 250


def main(folder: Path, sheet: Path, table: Path) -> None:
    """Ask, write both, and print the count."""
    model = Model.default()
    place = folder.parent / f"{folder.name}-{model.fingerprint}"
    collection = Collection.open(place) if place.exists() else Collection.create(place, model.name)
    collection.sync(folder)
    answered = []
    for words, language, meaning, right in QUESTIONS:
        hits = collection.search(words, k=5)
        rank = next((hit.rank for hit in hits if Path(hit.path).stem.startswith(right)), None)
        found = [{"picture": Path(hit.path).name, "score": round(hit.score, 3)} for hit in hits]
        answered.append(
            {"words": words, "language": language, "meaning": meaning, "right": right, "rank": rank, "found": found}
        )
    counts = {f"among the first {k}": sum((a["rank"] or 9) <= k for a in answered) for k in (1, 3, 5)}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    print_of = sha256(b"".join(sha256(path.read_bytes()).digest() for path in files)).hexdigest()[:16]
    record = {
        "command": " ".join(["python", *sys.argv]),
        "date": now(),
        "machine": machine(),
        "data": {"name": folder.name, "fingerprint": print_of},
        "model": model.name,
        "fingerprint": model.fingerprint,
        "pictures": len(collection),
        "questions": len(answered),
        **counts,
        "answers": answered,
    }
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draw(answered, folder, sheet)
    print(", ".join(f"{count} of {len(answered)} {name}" for name, count in counts.items()))


def draw(answered: list[dict], folder: Path, sheet: Path) -> None:
    """Lay two columns of questions with their first answers out on a page; a green frame is right."""
    half = (len(answered) + 1) // 2
    wide = WORDS + SHOWN * (THUMBNAIL[0] + 6)
    page = Image.new("RGB", (2 * wide, half * ROW), "white")
    pen = ImageDraw.Draw(page)
    for number, answer in enumerate(answered):
        left, top = (number // half) * wide, (number % half) * ROW
        pen.text((left + 6, top + 30), f"{number + 1}. {answer['language']}: {answer['meaning']}", fill="black")
        for place, found in enumerate(answer["found"][:SHOWN]):
            at = left + WORDS + place * (THUMBNAIL[0] + 6), top + 4
            name = found["picture"]
            if "_by_" in name:
                picture = Image.open(folder / name).convert("RGB")
                picture.thumbnail(THUMBNAIL)
                page.paste(picture, at)
            else:
                pen.rectangle((*at, at[0] + THUMBNAIL[0], at[1] + THUMBNAIL[1]), fill="#e8e8e8")
                pen.text((at[0] + 8, at[1] + 36), Path(name).stem, fill="black")
            right = Path(name).stem.startswith(tuple(answer["right"]))
            edge = (at[0] - 2, at[1] - 2, at[0] + THUMBNAIL[0] + 1, at[1] + THUMBNAIL[1] + 1)
            pen.rectangle(edge, outline="#0a0" if right else "#bbb", width=3 if right else 1)
            pen.text((at[0] + 4, at[1] + THUMBNAIL[1] - 12), f"{found['score']:.2f}", fill="#c00")
    sheet.parent.mkdir(parents=True, exist_ok=True)
    page.quantize(128).save(sheet, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
