"""How long an audit takes whose features are cached: reading them, judging the folds, writing the review page.

    python benchmarks/audit.py [--data picto-hand] [--languages en] [--pairs 10000] [--json FILE]

The data set is cut to its first items that hold so many pairs. What is not cached is encoded before the clock runs. Seconds are
given as they pass and as the processor counts them: on a machine that does other things as well only the second say what an
audit costs, and a core that is its own needs no less than that.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from crossbit.cli.audit_page import write_page
from crossbit.cli.audit_run import audit, auditable, fingerprint_in
from crossbit.cli.data import open_data
from crossbit.cli.fit import default_encoders, pairs_of
from crossbit.data.manifest import Manifest
from crossbit.training.crossfit import CrossfitConfig

SHOWN = 200


def cut(manifest: Manifest, pairs: int) -> Manifest:
    """Keep the first items that hold so many pairs together."""
    held = accumulate(len(item.captions) for item in manifest)
    kept = tuple(item for item, count in zip(manifest, held, strict=True) if count <= pairs)
    return Manifest(manifest.name, manifest.root, kept)


@contextmanager
def timed(table: dict[str, tuple[float, float]], name: str) -> Iterator[None]:
    """Note what a step took, as it passes and in the processor."""
    began, used = time.perf_counter(), time.process_time()
    yield
    table[name] = (round(time.perf_counter() - began, 1), round(time.process_time() - used, 1))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="picto-hand")
    parser.add_argument("--languages", default="en")
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    languages = words.languages.split(",")
    manifest = cut(auditable(open_data(words.data, languages).select(languages=languages)), words.pairs)
    pairs_of(manifest, default_encoders("vsepp"))
    table: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "audit"
        with timed(table, "all"):
            with timed(table, "ranked pairs"):
                found = audit(manifest, place, CrossfitConfig())
            with timed(table, "review page"):
                write_page(found[:SHOWN], manifest, fingerprint_in(place), {}, place / "review.html")
    print(f"{len(found):,} pairs of {len(manifest):,} pictures, {os.cpu_count()} cores")
    for name, (passed, used) in table.items():
        print(f"{name:14} {passed:8.1f} s, {used:8.1f} s of processor")
    if words.json:
        record = {"pairs": len(found), "pictures": len(manifest), "cores": os.cpu_count(), "seconds": table}
        words.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
