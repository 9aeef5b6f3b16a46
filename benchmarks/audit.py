"""How long an audit takes whose features are cached, and with `--planted` how many of the planted wrong pairs it finds.

    python benchmarks/audit.py [--data picto-hand] [--languages en] [--pairs 10000] [--json FILE]
    python benchmarks/audit.py --data picto:clipart --planted 0.1 [--partial 0.1] [--learn-from picto]

The data set is cut to its first items that hold so many pairs. What is not cached is encoded before the clock runs. Seconds are
given as they pass and as the processor counts them: on a machine that does other things as well only the second say what an
audit costs, and a core that is its own needs no less than that. Planted are captions of unrelated things, and with
`--partial` captions of things of the same subgroup on other pictures, all of the split "train"; what the data set had of its
own counts as right, so the truth is somewhat better than the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import numpy as np

from crossbit.cli.audit_page import write_page
from crossbit.cli.audit_run import audit, auditable, besides, fingerprint_in
from crossbit.cli.data import open_data
from crossbit.cli.fit import default_encoders, pairs_of
from crossbit.data.manifest import Manifest
from crossbit.data.noise import apply, make_noise
from crossbit.data.noise_generators import Kind
from crossbit.data.noise_pairs import TRAIN
from crossbit.evaluation.detection import detect
from crossbit.evaluation.suspects import Key, Suspect
from crossbit.training.crossfit import CrossfitConfig

SHOWN = 200
SEED = 5
FIRST = 100


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


def plant(manifest: Manifest, languages: list[str], complete: float, partial: float) -> tuple[Manifest, dict[Key, str]]:
    """Make captions wrong, first completely, then others partly; say which kind each wrong pair is of."""
    kinds: dict[Key, str] = {}
    wanted: tuple[tuple[Kind, float], ...] = (("complete", complete), ("partial", partial))
    for kind, share in wanted:
        if share:
            generator = "subgroup" if kind == "partial" else None
            noise = make_noise(manifest, kind, share, seed=SEED, generator=generator, languages=languages)
            manifest = apply(noise, manifest)
            made: dict[Key, str] = {
                (pair.item, pair.lang, pair.place): kind for pair in noise.pairs if pair.kind != "same"
            }
            kinds = {**made, **kinds}
    return manifest, kinds


def found_planted(found: Sequence[Suspect], manifest: Manifest, kinds: Mapping[Key, str]) -> dict[str, float]:
    """Measure how well the probabilities tell the planted pairs from the other ones of their split."""
    there = {item.id for item in manifest if item.split == TRAIN}
    judged = [suspect for suspect in found if suspect.item in there]
    kind = np.array([kinds.get(suspect.key, "") for suspect in judged])
    record = detect(np.array([suspect.probability for suspect in judged]), kind != "").to_record()
    kept = ("wrong", "estimated", "average_precision", "auroc", "brier", "calibration_error")
    made = {name: float(record[name]) for name in kept}
    made[f"planted among the first {FIRST}"] = float((kind[:FIRST] != "").sum())
    said = np.array([suspect.kind for suspect in judged])
    for name in sorted(set(kind.tolist())):
        here = said[kind == name]
        suspects = here[here != ""]
        made[f"{name or 'not'} planted: suspects"] = float((here != "").mean())
        made[f"{name or 'not'} planted: of these partial"] = float((suspects == "partial").mean())
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="picto-hand")
    parser.add_argument("--languages", default="en")
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--planted", type=float, default=0.0)
    parser.add_argument("--partial", type=float, default=0.0)
    parser.add_argument("--learn-from")
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    languages = words.languages.split(",")
    manifest = cut(auditable(open_data(words.data, languages).select(languages=languages)), words.pairs)
    others = None
    if words.learn_from:
        others = besides(manifest, open_data(words.learn_from, languages).select(languages=languages))
    manifest, kinds = plant(manifest, languages, words.planted, words.partial)
    for known in (manifest, others):
        if known is not None:
            pairs_of(known, default_encoders("vsepp"))
    table: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "audit"
        with timed(table, "all"):
            with timed(table, "ranked pairs"):
                found = audit(manifest, place, CrossfitConfig(), others=others)
            with timed(table, "review page"):
                write_page(found[:SHOWN], manifest, fingerprint_in(place), {}, place / "review.html")
    print(f"{len(found):,} pairs of {len(manifest):,} pictures, {os.cpu_count()} cores")
    for name, (passed, used) in table.items():
        print(f"{name:14} {passed:8.1f} s, {used:8.1f} s of processor")
    measured = found_planted(found, manifest, kinds) if kinds else {}
    for name, value in measured.items():
        print(f"{name:32} {value:.3f}")
    if words.json:
        record = {
            "detection": measured,
            "pairs": len(found),
            "pictures": len(manifest),
            "cores": os.cpu_count(),
            "seconds": table,
        }
        words.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
