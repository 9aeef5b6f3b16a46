"""Index and search a folder of generated photographs: images a second, memory, re-index, cold and warm search.

    python benchmarks/index.py --pictures 5000

The pictures are JPEGs of 640 x 480 with random coloured shapes, made by this program. The ratio is to encoding the same,
already decoded pictures in plain torch with the same network and as many threads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np


def make_pictures(folder: Path, count: int) -> None:
    from PIL import Image, ImageDraw

    draw = np.random.default_rng(0)
    for number in range(count):
        picture = Image.new("RGB", (640, 480), tuple(int(v) for v in draw.integers(0, 256, 3)))
        pen = ImageDraw.Draw(picture)
        for _ in range(12):
            x, y, w, h = (int(v) for v in draw.integers(0, 400, 4))
            shape = pen.ellipse if draw.random() < 0.5 else pen.rectangle
            shape((x, y, x + w, y + h), fill=tuple(int(v) for v in draw.integers(0, 256, 3)))
        target = folder / f"{number % 10}" / f"{number:05d}.jpg"
        target.parent.mkdir(exist_ok=True, parents=True)
        picture.save(target, quality=88)


def measured(*words: str) -> tuple[float, float]:
    """Run a command under a parent that reports its children's peak memory; give seconds and megabytes."""
    program = (
        "import resource, subprocess, sys, time; start = time.perf_counter();"
        "code = subprocess.run([sys.executable, '-m', 'crossbit.cli.main', *sys.argv[1:]],"
        " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode;"
        "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, code)"
    )
    found = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    seconds, megabytes, code = found.stdout.split()
    if int(code):
        raise SystemExit(f"crossbit {' '.join(words)} ended with {code}")
    return float(seconds), float(megabytes)


def plain_torch(count: int) -> float:
    """Give pictures a second of the same network in plain torch, decoding not counted."""
    import torch

    from crossbit.encoders import load

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = load("efficientnet-lite0").module().eval()
    pixels = torch.zeros(32, 3, 224, 224)
    with torch.no_grad():
        network(pixels)
        start = time.perf_counter()
        for _ in range(max(1, count // 32)):
            network(pixels)
    return 32 * max(1, count // 32) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pictures"
        make_pictures(folder, arguments.pictures)
        measured("doctor")
        make_pictures(Path(name) / "warm", 3)
        measured("index", str(Path(name) / "warm"))  # converts encoders and builds conse, once a machine
        first, memory = measured("index", str(folder))
        again, _ = measured("index", str(folder))
        cold = median(measured("search", "a dog", "--collection", str(folder))[0] for _ in range(5))

        from crossbit import Collection

        collection = Collection.open(folder)
        warm = []
        for query in ["a dog", "red car", "ein Haus", "un oiseau", "flowers", "a boat", "犬", "a cup of tea"] * 3:
            start = time.perf_counter()
            collection.search(query, k=20)
            warm.append(time.perf_counter() - start)
        torch_rate = plain_torch(320)
        rate = arguments.pictures / first
        report = {
            "pictures": arguments.pictures,
            "index_seconds": round(first, 1),
            "pictures_per_second": round(rate, 1),
            "plain_torch_pictures_per_second": round(torch_rate, 1),
            "ratio": round(rate / torch_rate, 2),
            "peak_megabytes": round(memory),
            "reindex_seconds": round(again, 2),
            "cold_search_seconds": round(cold, 2),
            "warm_search_milliseconds": round(1000 * median(warm[3:]), 1),
        }
    if arguments.json:
        print(json.dumps(report))
        return
    for key, value in report.items():
        print(f"{key:>32}  {value}")


if __name__ == "__main__":
    main()
