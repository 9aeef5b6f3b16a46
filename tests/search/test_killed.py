"""Killed at any moment, it opens again with everything that was committed, and with nothing half-written.

`CROSSBIT_KILLS=200 pytest tests/search/test_killed.py` for the long run.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np

from crossbit.search import Collection
from search.fakes import COLOURS, FakeModel, paint
from search.test_writer import stored_pictures
from search.victim import main, state_of

KILLS = int(os.environ.get("CROSSBIT_KILLS", "20"))


def check(collection: Collection, model: FakeModel, folder: Path) -> None:
    """What was acknowledged is there, and every item is whole."""
    acknowledged = json.loads((folder / "ack.json").read_text())
    _, touched = json.loads((folder / "intent.json").read_text())
    found = state_of(collection)
    for number, item in acknowledged.items():
        if item[0] not in touched:
            assert found.get(number) == item, f"item {number} was committed as {item}, found {found.get(number)}"
    new = {item[0] for number, item in found.items() if number not in acknowledged}
    assert all(path in touched or os.path.exists(path) for path in new)
    snapshot = collection.snapshot
    assert len(found) == len(snapshot)
    for item in collection:
        embeddings, codes = snapshot.embeddings(item.id)
        texts = model.encode("text", item.captions) if item.captions else None
        assert embeddings is not None
        assert codes is not None
        assert len(embeddings) == len(codes) == 1 + len(item.captions)
        if texts is not None:
            np.testing.assert_allclose(embeddings[1:], texts.embedding, atol=1e-3)
            np.testing.assert_array_equal(codes[1:], texts.code)
        if item.path.exists() and item.path.read_bytes() and _sha256(item.path) == item.sha256:
            np.testing.assert_allclose(embeddings[:1], model.encode("image", [item.path]).embedding, atol=1e-3)


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_killed_at_random_moments(tmp_path: Path) -> None:
    model, chance = FakeModel(), random.Random(int(os.environ.get("CROSSBIT_SEED", "1")))
    for number in range(20):
        paint(tmp_path / "pictures" / str(number % 3) / f"{number}.png", list(COLOURS)[number % 8], mark=number)
    Collection.create(tmp_path / "c", model, root=tmp_path / "pictures").sync(progress=False)
    context = multiprocessing.get_context("forkserver")
    # what LanceDB imports is imported once; LanceDB itself starts threads and cannot be forked
    context.set_forkserver_preload(["pandas", "lance_namespace", "pyarrow.dataset", "search.victim"])
    killed_in: Counter[str] = Counter()
    for seed in range(KILLS):
        ready, told = context.Pipe(duplex=False)
        process = context.Process(target=main, args=(str(tmp_path), seed, told), daemon=True)
        process.start()
        # every fourth is killed while it starts: while it undoes what the one before left
        if seed % 4:
            assert ready.poll(60)
            time.sleep(chance.uniform(0, 0.5))
        else:
            time.sleep(chance.uniform(0, 0.8))
        assert process.is_alive(), f"the victim stopped by itself with {process.exitcode}"
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        collection = Collection.open(tmp_path / "c", model)
        report = collection.verify()
        assert report.ok, report.damage
        if (tmp_path / "ack.json").exists() and (tmp_path / "intent.json").exists():
            check(collection, model, tmp_path)
            killed_in[json.loads((tmp_path / "intent.json").read_text())[0] or "between"] += 1
    print(f"killed {KILLS} times, in {dict(killed_in)}")
    collection = Collection.open(tmp_path / "c", model)
    collection.sync(progress=False)
    inside = {os.fspath(item.path) for item in collection if item.path.is_relative_to(tmp_path / "pictures")}
    assert inside == {os.fspath(path) for path in (tmp_path / "pictures").rglob("*.png")}
    assert stored_pictures(collection) == {item.id for item in collection}
    assert collection.verify().ok
