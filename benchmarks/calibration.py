"""Is a probability of 70 % right seven times of ten? Calibration on captions and on questions, asked in other languages.

    python benchmarks/calibration.py    drawings of picto's validation split; results/search/calibration.json, docs/search.md
    python benchmarks/calibration.py --no-write --json

A collection is made of the drawings with their names in two languages. It is calibrated on those, each hidden while it is
asked, and once more on names in a third language as questions with known answers. Then it is asked in languages that it
does not hold: each name once as it is, when its drawings are there, and once with all of its drawings left out of the
answer, when nothing there is right. Every drawing of the same concept is a right answer. What is told: the expected
calibration error of the first answer in ten bins, its Brier score beside that of one probability for all, the share of
right first answers with 50 % or more and of questions without an answer with less, and how often that decides well, beside
the threshold on the score alone that is chosen afterwards, with the answers known.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossbit import Collection, Model
from crossbit.data.sets import open_set
from crossbit.evaluation.machine import machine
from crossbit.evaluation.search_page import calibration_table, put
from crossbit.search.calibrate import Calibration

LEAST = 0.5


def build(folder: Path, args: argparse.Namespace) -> tuple[Collection, dict[int, str]]:
    """Make the collection, and give the concept of each of its items."""
    manifest = open_set(args.data, args.held.split(",")).select(split=args.split)
    named = [replace(item, captions=tuple(c for c in item.captions if c.kind == "name")) for item in manifest]
    made = Collection.create(folder, Model.from_pretrained(args.model))
    report = made.add(
        [manifest.file(item) for item in named], captions=[[c.text for c in item.captions] for item in named]
    )
    return made, {number: item.concept for number, item in zip(report.ids, named, strict=True) if number >= 0}


def names(args: argparse.Namespace, language: str, concepts: dict[int, str]) -> dict[str, str]:
    """Give the name of each concept of the collection in a language."""
    manifest = open_set(args.data, [language]).select(split=args.split)
    found = {item.concept: next((c.text for c in item.captions if c.kind == "name"), "") for item in manifest}
    known = set(concepts.values())
    return {concept: text for concept, text in sorted(found.items()) if text and concept in known}


def first_answers(made: Collection, concepts: dict[int, str], texts: dict[str, str]) -> dict[str, list[list[float]]]:
    """Ask names; give of each, with its drawings and without: whether they are there, whether the first is right, scores."""
    model, found = made.model, {}
    rows = model.encode("text", list(texts.values())).embedding
    for concept, row in zip(texts, rows, strict=True):
        hits = made.search(embedding=row, k=100)
        answers = []
        for there in (True, False):
            left = [hit for hit in hits if there or concepts[hit.id] != concept][:10]
            right = bool(left) and concepts[left[0].id] == concept
            answers.append([float(there), float(right), *(hit.score for hit in left)])
        found[concept] = answers
    return found


def told(answers: dict[str, list[list[float]]], calibration: Calibration) -> list[tuple[float, float, bool, bool]]:
    """Give of each first answer probability, score, whether it is right and whether one could be."""
    return [
        (calibration.probability(scores)[0], scores[0], bool(right), bool(there))
        for both in answers.values()
        for there, right, *scores in both
        if scores
    ]


def judge(answers: list[tuple[float, float, bool, bool]]) -> dict[str, Any]:
    """Say what probabilities were worth, and what the best threshold on the score would have been worth."""
    chance, score, right, there = (np.array(side, float) for side in zip(*answers, strict=True))
    right, there = right.astype(bool), there.astype(bool)
    bins = np.minimum((chance * 10).astype(int), 9)
    shares = [
        {
            "said": round(float(chance[bins == one].mean()), 4),
            "right": round(float(right[bins == one].mean()), 4),
            "count": int((bins == one).sum()),
        }
        for one in range(10)
        if (bins == one).any()
    ]
    error = sum(abs(share["said"] - share["right"]) * share["count"] for share in shares) / len(chance)
    cuts = np.unique(score)
    agree = [float(((score >= cut) == right).mean()) for cut in cuts]
    return {
        "questions": len(chance), "error": round(error, 4), "brier": round(float(((chance - right) ** 2).mean()), 4),
        "plain_brier": round(float(right.mean() * (1 - right.mean())), 4),
        "kept": round(float((chance >= LEAST)[right].mean()), 4), "refused": round(float((chance < LEAST)[~there].mean()), 4),
        "decided": round(float(((chance >= LEAST) == right).mean()), 4), "decided_by_best_score": round(max(agree), 4),
        "bins": shares,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="picto")
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", default="base")
    parser.add_argument("--held", default="en,de", help="languages of the collection's captions")
    parser.add_argument("--questions", default="es", help="language of the questions with known answers")
    parser.add_argument("--languages", default="fr,ru,zh,ar", help="languages to ask in")
    parser.add_argument("--out", type=Path, default=Path("results/search/calibration.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/search.md"))
    parser.add_argument("--no-write", action="store_true", help="only print")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made, concepts = build(Path(folder) / "collection", args)
        items: dict[str, list[int]] = {}
        for number, concept in concepts.items():
            items.setdefault(concept, []).append(number)
        third = names(args, args.questions, concepts)
        ways = {
            "captions": made.calibrate(),
            "questions": made.calibrate(questions=[(text, items[concept]) for concept, text in third.items()]),
        }
        asked = {}
        for language in args.languages.split(","):
            answers = first_answers(made, concepts, names(args, language, concepts))
            asked[language] = {way: judge(told(answers, fitted)) for way, fitted in ways.items()}
    record = {
        "command": " ".join(["python", *sys.argv]), "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None, "threads": 1,
        "data": args.data, "split": args.split, "model": args.model, "held": args.held,
        "items": len(concepts), "questions": args.questions,
        "fitted": {way: fitted.to_dict() for way, fitted in ways.items()},
        "asked": asked,
    }  # fmt: skip
    print(json.dumps(record) if args.json else calibration_table(record))
    if not args.no_write:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(record, indent=1) + "\n")
        put(args.page, "calibration", calibration_table(record))
        print(f"written: {args.out}, {args.page}", file=sys.stderr)


if __name__ == "__main__":
    main()
