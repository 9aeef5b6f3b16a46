"""Measures against the plain per-query loop of the published scripts: seconds, peak memory, and the ratio of both.

    python benchmarks/metrics.py                 5,000 images, 25,000 captions, 1,024 floats; both directions
    python benchmarks/metrics.py --images 500    smaller
    python benchmarks/metrics.py --json          one JSON object instead of the table

Each contestant runs in a process of its own on the same seeded rows; only measuring is timed, and the memory is the peak of
the whole process. Both have to give the same numbers. The loop is written after the evaluation scripts of VSE++ and its
children (one product, one argsort, one search a query) and, for codes, after the hashing toolboxes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

BITS, LABELS, ASKED, SEARCHED = 64, 24, 2_000, 18_000


def rows(images: int, captions: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Make unit rows: captions scatter around their image so that about half of them find it."""
    random = np.random.default_rng(0)
    pictures = random.standard_normal((images, dim), dtype=np.float32)
    texts = np.repeat(pictures, captions, axis=0)
    for start in range(0, len(texts), 1000):
        part = texts[start : start + 1000]
        part += np.float32(0.35 * dim**0.5) * random.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    return pictures, texts


def recall_by_loop(pictures: np.ndarray, texts: np.ndarray, captions: int) -> dict[str, float]:
    """Rank every query by a full argsort and look up where its own items went."""
    forth = np.zeros(len(pictures))
    for image in range(len(pictures)):
        order = np.argsort(np.dot(pictures[image : image + 1], texts.T).flatten())[::-1]
        own = range(captions * image, captions * (image + 1))
        forth[image] = min(np.where(order == caption)[0][0] for caption in own)
    back = np.zeros(len(texts))
    for image in range(len(pictures)):
        scores = np.dot(texts[captions * image : captions * (image + 1)], pictures.T)
        for place in range(captions):
            order = np.argsort(scores[place])[::-1]
            back[captions * image + place] = np.where(order == image)[0][0]
    return summary(forth + 1, back + 1)


def recall_by_crossbit(pictures: np.ndarray, texts: np.ndarray, captions: int) -> dict[str, float]:
    """Count standings of both directions."""
    from crossbit.metrics import Relevant, first_rank, standings_both_ways

    owner = np.arange(len(texts)) // captions
    forth, back = standings_both_ways(pictures, texts, Relevant.from_owner(owner, len(pictures)).turned())
    return summary(first_rank(forth), first_rank(back))


def summary(forth: np.ndarray, back: np.ndarray) -> dict[str, float]:
    """Give R@1, R@5, R@10 of both directions in percent, and the mean ranks."""
    found = {
        f"{name} R@{k}": 100 * float(np.mean(ranks <= k))
        for name, ranks in (("i2t", forth), ("t2i", back))
        for k in (1, 5, 10)
    }
    return found | {"i2t MeanR": float(forth.mean()), "t2i MeanR": float(back.mean())}


def codes() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make signs and labels of about MIRFlickr's size; codes that share labels lie closer."""
    random = np.random.default_rng(0)
    labels = random.random((ASKED + SEARCHED, LABELS)) < 0.12
    signs = np.sign(labels @ random.standard_normal((LABELS, BITS)) + random.standard_normal((ASKED + SEARCHED, BITS)))
    return signs[:ASKED], signs[ASKED:], labels[:ASKED], labels[ASKED:]


def map_by_loop(asked: np.ndarray, searched: np.ndarray, wanted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Sort every query's integer distances, with whatever order that gives to ties."""
    total, counted = 0.0, 0
    for query in range(len(asked)):
        relevant = (np.dot(wanted[query : query + 1].astype(float), labels.T.astype(float)) > 0).flatten()
        distance = 0.5 * (asked.shape[1] - np.dot(asked[query : query + 1], searched.T)).flatten()
        found = relevant[np.argsort(distance, kind="stable")]
        if found.any():
            place = np.flatnonzero(found) + 1
            total += float(np.mean(np.arange(1, len(place) + 1) / place))
            counted += 1
    return {"MAP": 100 * total / counted}


def map_by_crossbit(
    asked: np.ndarray, searched: np.ndarray, wanted: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Count standings on packed codes; the expectation over ties."""
    from crossbit.codes import pack
    from crossbit.metrics import SharedLabels, mean_average_precision, standings_from_rows

    found = standings_from_rows(pack(asked), pack(searched), SharedLabels(wanted, labels))
    return {"MAP": 100 * mean_average_precision(found, without_relevant="drop")}


CONTESTANTS: dict[str, dict[str, Callable[..., dict[str, float]]]] = {
    "recall": {"loop": recall_by_loop, "crossbit": recall_by_crossbit},
    "map": {"loop": map_by_loop, "crossbit": map_by_crossbit},
}


def run_here(task: str, who: str, images: int, captions: int, dim: int, repeat: int) -> dict[str, object]:
    """Time one contestant in this process and give the best of some runs."""
    import resource

    data = (*rows(images, captions, dim), captions) if task == "recall" else codes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, values = [], {}
    for _ in range(repeat):
        began = time.perf_counter()
        values = CONTESTANTS[task][who](*data)
        seconds.append(time.perf_counter() - began)
    unit = 1024**2 if platform.system() == "Darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": min(seconds), "peak_mb": peak / unit, "rows_mb": before / unit, "values": values}


def run_apart(task: str, who: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Time one contestant in a process of its own."""
    repeat = arguments.repeat if who == "crossbit" else 1
    words = [task, who, arguments.images, arguments.captions, arguments.dim, repeat]
    threads = {name: str(arguments.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, __file__, "--child", json.dumps(words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **threads})
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def main() -> int:
    """Run all contestants and print the table; exit 1 where two do not agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--captions", type=int, default=5, help="captions an image")
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3, help="runs of crossbit, the best counts; the loop runs once")
    parser.add_argument("--tasks", default="recall,map")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(run_here(*json.loads(arguments.child))))
        return 0
    report, agree = {}, True
    for task in arguments.tasks.split(","):
        found = {who: run_apart(task, who, arguments) for who in ("crossbit", "loop")}
        tolerance = 0.05 if task == "map" else 1e-3  # the loop leaves ties to the order of the gallery
        pairs = [(found["crossbit"]["values"][name], value) for name, value in found["loop"]["values"].items()]  # type: ignore[index, attr-defined]
        agree &= all(abs(a - b) <= tolerance for a, b in pairs)
        report[task] = {**found, "times_faster": found["loop"]["seconds"] / found["crossbit"]["seconds"]}  # type: ignore[operator]
    report["agree"] = agree
    if arguments.json:
        print(json.dumps(report))
        return 0 if agree else 1
    sizes = {
        "recall": f"R@K both ways, {arguments.images:,} x {arguments.images * arguments.captions:,} x {arguments.dim} floats",
        "map": f"MAP, {ASKED:,} x {SEARCHED:,} codes of {BITS} bits, shared labels",
    }
    print(f"{'':58} {'seconds':>9} {'peak MB':>8} {'faster':>8}")
    for task in arguments.tasks.split(","):
        for who in ("loop", "crossbit"):
            line = report[task][who]
            ratio = f"{report[task]['times_faster']:.1f} x" if who == "crossbit" else ""
            print(
                f"{sizes[task] if who == 'loop' else '':48} {who:>9} {line['seconds']:9.2f} {line['peak_mb']:8.0f} {ratio:>8}"
            )
    print("numbers agree" if agree else "NUMBERS DO NOT AGREE")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
