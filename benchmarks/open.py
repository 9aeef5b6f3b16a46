"""Open a collection of N items: seconds, memory by formula and measured, the first search.

    python benchmarks/open.py                        a million items, in a folder that goes afterwards
    python benchmarks/open.py --items 10000000 --folder DIR --json

The collection is made by the store's own writer of segments, with random rows; every item has a path, a hash and one field.
The peer is faiss reading an IndexBinaryFlat of the same codes, which is what a program without memory maps does. Each figure
is the median of five fresh processes; the files are in the page cache. By formula: a byte an item when open (which of them
live), 17 when searched (where its rows begin, and their numbers), beside what the engine makes in the first search.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from crossbit.search.head import Head, Meta, write_head, write_meta
from crossbit.search.segment import Part, write_segment

PORTION = 1_000_000
PROGRAM = """
import json, re, sys, time
import numpy as np
from crossbit.search import Collection
def memory():
    status = open("/proc/self/status").read()
    return [int(re.search(name + r":\\s+(\\d+)", status)[1]) / 1024 for name in ("RssAnon", "RssFile")]
before = memory()
began, worked = time.perf_counter(), time.process_time()
collection = Collection.open(sys.argv[1])
items = len(collection)
opened, worked = time.perf_counter() - began, time.process_time() - worked
after = memory()
code = np.random.default_rng(1).integers(0, 256, (1, collection.meta.bits // 8), dtype=np.uint8)
times = []
for _ in range(4):
    began = time.perf_counter()
    collection.snapshot.hamming.search(code, 10)
    times.append(time.perf_counter() - began)
searched = memory()
collection.snapshot.items([0])  # imports pyarrow.compute
began = time.perf_counter()
found = collection.snapshot.items([items // 2])
item = time.perf_counter() - began
print(json.dumps({
    "items": items, "open": opened, "worked": worked, "anonymous_open": after[0] - before[0],
    "first": times[0], "next": sorted(times[1:])[1],
    "anonymous": searched[0] - before[0], "mapped": searched[1] - before[1], "item": item, "found": len(found),
}))
"""
PEER = """
import json, re, sys, time
import faiss
def memory():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before = memory()
began = time.perf_counter()
index = faiss.read_index_binary(sys.argv[1])
print(json.dumps({"open": time.perf_counter() - began, "anonymous": memory() - before, "items": index.ntotal}))
"""


def part(start: int, count: int, dim: int, bits: int) -> Part:
    """Make items with random rows."""
    draw = np.random.default_rng(start)
    keys = pa.array([b"photos/%05d/%09d.jpg" % (number // 1000, number) for number in range(start, start + count)])
    hashes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), count, [None, pa.py_buffer(draw.bytes(32 * count))])
    nothing = pa.ListArray.from_arrays(pa.array(np.zeros(count + 1, np.int32)), pa.array([], pa.string()))
    table = pa.table(
        {
            "id": np.arange(start, start + count),
            "key": keys.cast(pa.binary()),
            "sha256": hashes.cast(pa.binary()),
            "size": draw.integers(10_000, 5_000_000, count),
            "mtime_ns": draw.integers(10**18, 2 * 10**18, count),
            "from_folder": pa.array(np.ones(count, bool)),
            "sidecar": pa.array([b""] * count, pa.binary()),
            "captions": nothing,
            "int:year": draw.integers(1990, 2026, count),
        }
    )
    rows = draw.integers(-200, 200, (count, dim)).astype(np.float16) / np.float16(16 * dim**0.5)
    codes = draw.integers(0, 256, (count, bits // 8), dtype=np.uint8)
    first = np.arange(count + 1)
    return Part(table, np.stack([first[:-1], first[1:]]), {"vectors": rows, "codes": codes})


def build(folder: Path, items: int, dim: int, bits: int) -> float:
    """Write a collection and give the seconds that it took."""
    began = time.perf_counter()
    folder.mkdir(parents=True)
    cards = []
    for start in range(0, items, PORTION):
        count = min(PORTION, items - start)
        cards.append(write_segment(folder, f"{len(cards):06d}", [part(start, count, dim, bits)]))
        print(f"  {start + count:,} items written", file=sys.stderr, flush=True)
    meta = Meta("random", f"outside:{dim}:{bits}:random", "random", dim, bits, "float16", "2026-01-01", "0")
    write_meta(folder, meta)
    write_head(folder, Head(1, 0, items, "", tuple(cards)))
    return time.perf_counter() - began


def run(program: str, path: Path, times: int = 5) -> dict[str, float]:
    """Run a program in fresh processes; give the medians of what it prints."""
    found = []
    for _ in range(times):
        done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        found.append(json.loads(done.stdout))
    return {name: median(one[name] for one in found) for name in found[0]}


def peer(folder: Path, codes: list[Path], bits: int) -> dict[str, float] | None:
    """Let faiss read the same codes."""
    try:
        import faiss
    except ImportError:
        return None
    index = faiss.IndexBinaryFlat(bits)
    for path in codes:
        index.add(np.ascontiguousarray(np.load(path)))
    faiss.write_index_binary(index, str(folder))
    return run(PEER, folder)


def main() -> None:
    """Build, open, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="keeps the collection there, and uses what is there")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name) / "c"
        built = (
            0.0 if (folder / "head.json").exists() else build(folder, arguments.items, arguments.dim, arguments.bits)
        )
        disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        ours = run(PROGRAM, folder)
        theirs = peer(Path(name) / "peer.faiss", sorted(folder.glob("segments/*/codes.npy")), arguments.bits)
    items = int(ours["items"])
    report = {
        "items": items,
        "dim": arguments.dim,
        "bits": arguments.bits,
        "build_seconds": round(built, 1),
        "disk_megabytes": round(disk / 1e6),
        "open_seconds": round(ours["open"], 3),
        "open_processor_seconds": round(ours["worked"], 3),
        "memory_by_formula_open_megabytes": round(items / 2**20),
        "memory_open_megabytes": round(ours["anonymous_open"]),
        "memory_by_formula_searched_megabytes": round(items * 17 / 2**20),
        "memory_searched_megabytes": round(ours["anonymous"]),
        "mapped_megabytes": round(ours["mapped"]),
        "first_code_search_milliseconds": round(1000 * ours["first"], 1),
        "next_code_search_milliseconds": round(1000 * ours["next"], 1),
        "one_item_milliseconds": round(1000 * ours["item"], 2),
    }
    if theirs is not None:
        report["faiss_read_seconds"] = round(theirs["open"], 3)
        report["faiss_memory_megabytes"] = round(theirs["anonymous"])
    if arguments.json:
        print(json.dumps(report))
        return
    for key, value in report.items():
        print(f"{key:>40}  {value}")


if __name__ == "__main__":
    main()
