"""Near duplicates made on purpose: how many are found by which rule, and how many pairs are joined that are none.

    python benchmarks/duplicates.py --pictures 200

Drawings of picto's `noto` (no test set of the model), each also as a small JPEG, at half size, with a border cut off, brighter;
all are files that are indexed as usual. Two drawings that are joined are a false pair here, though some of them (a clock at
one, a clock at two) look nearly the same to people, too. Compared are the embedding alone at several cosines, the 64-bit
difference hash alone at 10 bits, which is what picture tools use, and both together, which is the rule of
`crossbit collection duplicates`.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from crossbit.cli.data import open_data
from crossbit.media.image import load_image
from crossbit.media.looks import difference_hash
from crossbit.model import Model
from crossbit.search import Collection
from crossbit.search.duplicates import LOOK, NEAR

THRESHOLDS = (0.80, 0.90, 0.95, 0.97, 0.99)


def jpeg(picture: Image.Image) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=40)
    return Image.open(io.BytesIO(data.getvalue())).convert("RGB")


def cropped(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    return picture.crop((width // 25, height // 25, width - width // 25, height - height // 25))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg of quality 40": jpeg,
    "half size": lambda picture: picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BILINEAR),
    "4 % cut off each side": cropped,
    "a fifth brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
}


def shares(near: np.ndarray, count: int) -> tuple[dict[str, float], int]:
    """Give per kind of copy the share that is near its original, and how many originals are near another."""
    found = {}
    for number, name in enumerate(COPIES, start=1):
        block = near[:count, number * count : (number + 1) * count]
        found[name] = round(float(np.diag(block).mean()), 3)
    return found, int(near[:count, :count][np.triu_indices(count, 1)].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    manifest = open_data("picto", None)
    files = [Path(manifest.file(item)) for item in manifest if item.source == "noto"]
    chosen = [files[place] for place in np.random.default_rng(0).permutation(len(files))[: arguments.pictures]]
    originals = [Image.fromarray(load_image(path, size=448)) for path in chosen]
    pictures = [*originals, *(copy(picture) for copy in COPIES.values() for picture in originals)]
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{number:05d}.png" for number in range(len(pictures))]
        for picture, path in zip(pictures, paths, strict=True):
            picture.save(path)
        collection = Collection.create(Path(name) / "c", Model.default(), vectors="float32")
        ids = collection.add(paths).ids
        hashes = np.stack([difference_hash(path) for path in paths])
        rows = np.stack([collection.snapshot.embeddings(number)[0][0] for number in ids])
    cosine = rows @ rows.T
    looks = (hashes[:, None] != hashes[None]).sum(axis=2)
    count = len(originals)
    rules = {f"cosine {limit:.2f}": cosine >= limit for limit in THRESHOLDS}
    rules[f"{LOOK} bits of the hash"] = looks <= LOOK
    rules |= {f"cosine {limit:.2f}, {LOOK} bits": (cosine >= limit) & (looks <= LOOK) for limit in (0.7, NEAR, 0.9)}
    pairs = count * (count - 1) // 2
    report = {"pictures": count, "pairs": pairs, "rules": {name: shares(near, count) for name, near in rules.items()}}
    if arguments.json:
        print(json.dumps(report))
        return
    print(f"{'':>22}" + "".join(f"{name:>24}" for name in COPIES) + f"{'false of ' + format(pairs, ','):>20}")
    for name, (found, false) in report["rules"].items():
        print(f"{name:>22}" + "".join(f"{share:>24.1%}" for share in found.values()) + f"{false:>20}")


if __name__ == "__main__":
    main()
