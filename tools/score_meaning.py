"""Print how often the default model's first answer is right at a score, on drawings that chose its settings.

    python tools/score_meaning.py

Questions are names in English, German and French of the drawings of split "val"; Noto, Fluent in three dimensions and clip art
are a gallery each. Right is any drawing of the concept that has this name.
"""

from __future__ import annotations

import numpy as np

from crossbit import Model
from crossbit.data.manifest import Item, Manifest
from crossbit.data.manifest_arrow import read_items
from crossbit.data.picto.assemble import prepared
from crossbit.evaluation.evaluate import through_cache

SOURCES = ("noto", "fluent-3d", "clipart")
LANGUAGES = ("en", "de", "fr")
EDGES = (0.2, 0.3, 0.4)


def main() -> None:
    """Ask all questions and print a row for each range of scores."""
    encode, path = through_cache(Model.default(), progress=False), prepared()
    scores, right = [], []
    for source in SOURCES:
        items = tuple(read_items(path, split="val", languages=LANGUAGES, sources=(source,)))
        manifest = Manifest(source, path.parent, items)
        pictures = encode("image", [manifest.file(item) for item in items]).embedding
        named: dict[str, set[str]] = {}
        for item in items:
            for caption in item.captions:
                if caption.kind == "name":
                    named.setdefault(caption.text, set()).add(concept(item))
        found = encode("text", list(named)).embedding @ pictures.T
        scores.append(found.max(1))
        first = found.argmax(1).tolist()
        right += [concept(items[row]) in shown for row, shown in zip(first, named.values(), strict=True)]
        print(f"{source}: {len(named)} questions over {len(items)} drawings")
    at, is_right = np.digitize(np.concatenate(scores), EDGES), np.array(right)
    for number, low in enumerate((-1.0, *EDGES)):
        here = is_right[at == number]
        share = f"{here.mean():.0%}" if len(here) else "none"
        print(f"scores from {low:g}: {len(here)} questions, first answer right: {share}")


def concept(item: Item) -> str:
    """Name what a drawing shows."""
    return item.concept or item.id


if __name__ == "__main__":
    main()
