"""How fast pictures and texts are encoded: plain torch against ONNX Runtime, and what a cold query pays.

    OMP_NUM_THREADS=2 python benchmarks/encoding.py [--json FILE] [--seconds 5]

Plain torch is each encoder's own torch twin in eval mode without gradient, the same weights, batches and threads, as a
script would run it. Rounds of both alternate, and the fastest round of each counts. Run it on an idle machine: with its
cores taken, torch's waiting threads lose more than ours, and the ratio flatters us. With one thread it does not depend on
that (OMP_NUM_THREADS=1). A cold query is a fresh process: import, open tokenizer and graph, encode one query.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from crossbit import encoders
from crossbit.encoders.session import threads

BATCH = 32

COLD = """
import time
start = time.perf_counter()
from crossbit import encoders
encoder = encoders.load({name!r})
imported = time.perf_counter()
inputs = encoder.prepare(["a red apple on a table"])
split = time.perf_counter()
encoder._session
opened = time.perf_counter()
encoder.encode(inputs)
done = time.perf_counter()
print([imported - start, split - imported, opened - split, done - opened, done - start])
"""


def best_rates(runs: Mapping[str, Callable[[], int]], seconds: float) -> dict[str, float]:
    """Give items a second of the fastest round of each, rounds alternating."""
    best = dict.fromkeys(runs, 0.0)
    for run in runs.values():
        run()
    end = time.perf_counter() + seconds * len(runs)
    while time.perf_counter() < end:
        for name, run in runs.items():
            began = time.perf_counter()
            items = run()
            best[name] = max(best[name], items / (time.perf_counter() - began))
    return best


def compare(name: str, media: list, seconds: float) -> dict[str, float]:
    """Time one encoder on batches of 32 both ways; texts in order of length, as the library feeds them."""
    import torch

    torch.set_num_threads(threads())
    encoder = encoders.load(name)
    batches = [encoder.prepare(media[start : start + BATCH]) for start in range(0, len(media), BATCH)]
    twin = encoder.module().eval()
    tensors = [{key: torch.from_numpy(value) for key, value in batch.items()} for batch in batches]

    def in_torch() -> int:
        with torch.no_grad():
            for batch in tensors:
                twin(**batch)
        return len(media)

    def in_onnx() -> int:
        for batch in batches:
            encoder.encode(batch)
        return len(media)

    rates = best_rates({"torch": in_torch, "onnx": in_onnx}, seconds)
    return {**rates, "ratio": rates["onnx"] / rates["torch"]}


def cold_query(name: str) -> dict[str, float]:
    """Give the seconds of the fastest of five fresh processes, by part."""
    parts = ("import", "tokenise", "open", "encode", "total")
    runs = [
        json.loads(
            subprocess.run([sys.executable, "-c", COLD.format(name=name)], capture_output=True, check=True).stdout
        )
        for _ in range(5)
    ]
    return dict(zip(parts, min(runs, key=lambda run: run[-1]), strict=True))


def convert(name: str) -> float:
    """Give the seconds that the first use of an encoder takes, in a fresh process and an empty cache."""
    import tempfile

    program = f"""
import time, numpy as np
start = time.perf_counter()
from crossbit import encoders
encoder = encoders.load({name!r})
text = encoder.describe().modality == "text"
encoder.encode(encoder.prepare(["a"] if text else [np.zeros((9, 9, 3), np.uint8)]))
print(time.perf_counter() - start)
"""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "CROSSBIT_CACHE": folder}
        ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        return float(ran.stdout)


def captions() -> list[str]:
    """Give 256 names in fourteen languages, shortest first."""
    import emoji

    languages = ("en", "es", "ja", "ko", "pt", "it", "fr", "de", "fa", "id", "zh", "ru", "tr", "ar")
    names = [
        entry[lang].strip(":").replace("_", " ")
        for entry in emoji.EMOJI_DATA.values()
        for lang in languages
        if lang in entry
    ]
    chosen = np.random.default_rng(0).choice(len(names), 256, replace=False)
    return sorted((names[row] for row in chosen), key=len)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each comparison runs")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)

    texts = captions()
    pictures = list(np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), np.uint8))
    figures: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "threads": threads(),
        "batch": BATCH,
    }
    print(f"{threads()} threads, batches of {BATCH}")
    for name, media, unit in (
        ("efficientnet-lite0", pictures, "img/s"),
        ("e5-small", texts, "texts/s"),
        ("minilm", texts, "texts/s"),
    ):
        found = compare(name, media, arguments.seconds)
        figures[name] = found
        print(
            f"{name:20} torch {found['torch']:6.0f} {unit}   onnx {found['onnx']:6.0f} {unit}   x {found['ratio']:.1f}"
        )
    for name in ("e5-small", "minilm"):
        found = cold_query(name)
        figures[f"{name} cold query"] = found
        print(f"{name:20} cold query " + "   ".join(f"{part} {seconds:.3f} s" for part, seconds in found.items()))
    for name in encoders.ENCODERS:
        figures[f"{name} conversion"] = convert(name)
        print(f"{name:20} first use {figures[f'{name} conversion']:.1f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
