"""The program that is killed: changes a folder of pictures and its collection for ever, and says before and after what it does.

`intent.json` names the paths that the next operation touches; `ack.json` holds the whole collection after the last one that was
done. Both are replaced in one step.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
from pathlib import Path
from typing import Any

from tqdm import tqdm

from crossbit.search import Collection, ingest
from search.fakes import COLOURS, FakeModel, paint


def state_of(collection: Collection) -> dict[str, Any]:
    return {str(item.id): [str(item.path), item.sha256, list(item.captions)] for item in collection}


def _put(path: Path, record: Any) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record))
    partial.replace(path)


def main(base: str, seed: int, ready: Any) -> None:
    tqdm.set_lock(threading.RLock())  # not the one between processes, which a killed process would leave behind
    folder = Path(base)
    chance = random.Random(seed)
    ingest.COMMIT_ITEMS = 3  # many commits, so that a kill often falls into one
    model = FakeModel()
    collection = Collection.open(folder / "c", model)
    if seed % 5 == 0:
        collection.compact()
    collection.sync(progress=False)
    _put(folder / "ack.json", state_of(collection))
    ready.send(None)
    number = seed * 10_000
    while True:
        kind = chance.choice(("grow", "grow", "change", "change", "delete", "add", "compact"))
        pictures = sorted((folder / "pictures").rglob("*.png"))
        if len(pictures) > 60:
            kind = "shrink"
        touched: list[Path] = []
        if kind == "grow":
            touched = [folder / "pictures" / str(chance.randrange(3)) / f"{number + n}.png" for n in range(7)]
        elif kind in ("change", "shrink"):
            touched = chance.sample(pictures, min(len(pictures) - 4, 30 if kind == "shrink" else 5))
        elif kind == "add":
            touched = [folder / "outside" / f"{number}.png"]
        elif kind == "delete":
            touched = [item.path for item in chance.sample(list(collection), min(3, len(collection)))]
        _put(folder / "intent.json", [kind, [os.fspath(path) for path in touched]])
        for place, path in enumerate(touched if kind in ("grow", "add") else ()):
            number += 1
            paint(path, chance.choice(list(COLOURS)), mark=number)
            if place % 2:
                path.with_suffix(".txt").write_text(f"words {number}\nmore {number}\n")
        if kind == "shrink":
            for path in touched:
                path.unlink()
        if kind == "change":
            first, second, third, fourth, fifth = touched
            number += 1
            paint(first, chance.choice(list(COLOURS)), mark=number)
            second.rename(second.with_name(f"moved-{number}.png"))
            third.unlink()
            fourth.with_suffix(".txt").write_text(f"changed {number}\n")
            shutil.copy(fifth, fifth.with_name(f"twin-{number}.png"))
        if kind == "add":
            collection.add(touched)
        elif kind == "delete":
            collection.delete(touched)
        elif kind == "compact":
            collection.compact()
        else:
            collection.sync(progress=False)
        _put(folder / "ack.json", state_of(collection))
        _put(folder / "intent.json", ["", []])
