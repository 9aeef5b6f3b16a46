"""A collection that follows its folder."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from crossbit.errors import CollectionError
from crossbit.search import Collection, SyncReport
from crossbit.search.durable import writing
from crossbit.search.watch import state_of, watch
from search.fakes import FakeModel, paint


class Watching:
    """A watch in a thread, with everything that it told."""

    def __init__(self, collection: Collection, folder: Path) -> None:
        self.reports: list[SyncReport] = []
        self.failures: list[CollectionError] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(
            target=watch,
            args=(collection, folder),
            kwargs={
                "every": 0.05, "stop": self.stop, "told": self.reports.append, "failed": self.failures.append,
                "progress": False,
            },
        )  # fmt: skip
        self.thread.start()

    def until(self, reports: int = 0, failures: int = 0) -> None:
        for _ in range(600):
            if len(self.reports) >= reports and len(self.failures) >= failures:
                return
            time.sleep(0.05)
        pytest.fail(f"only {len(self.reports)} reports and {len(self.failures)} failures")


@pytest.fixture
def watching(pictures: Path, model: FakeModel) -> Watching:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    found = Watching(collection, pictures)
    yield found
    found.stop.set()
    found.thread.join(30)
    assert not found.thread.is_alive()


def test_follows_the_folder(watching: Watching, pictures: Path, model: FakeModel) -> None:
    watching.until(reports=1)
    assert watching.reports[0].added == 8
    paint(pictures / "new.png", (10, 200, 200), mark=1)
    watching.until(reports=2)
    (pictures / "new.png").rename(pictures / "newer.png")
    watching.until(reports=3)
    (pictures / "newer.txt").write_text("turquoise")
    watching.until(reports=4)
    (pictures / "newer.png").unlink()
    watching.until(reports=5)
    counts = [(r.added, r.renamed, r.changed, r.removed) for r in watching.reports]
    assert counts == [(8, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    assert watching.failures == []


def test_a_file_that_grows_is_left_alone_until_it_rests(watching: Watching, pictures: Path, tmp_path: Path) -> None:
    watching.until(reports=1)
    whole = paint(tmp_path / "whole.png", "red", size=(300, 300), mark=9).read_bytes()
    with (pictures / "slow.png").open("wb") as file:
        for start in range(0, len(whole), max(1, len(whole) // 20)):
            file.write(whole[start : start + max(1, len(whole) // 20)])
            file.flush()
            time.sleep(0.01)
    watching.until(reports=2)
    assert sum(report.added for report in watching.reports) == 9


def test_goes_on_after_what_goes_wrong(watching: Watching, pictures: Path, tmp_path: Path) -> None:
    watching.until(reports=1)
    with writing(pictures / ".crossbit"):
        paint(pictures / "new.png", (10, 200, 200), mark=1)
        watching.until(failures=1)
    watching.until(reports=2)
    assert "is writing to this collection" in watching.failures[0].message
    for name in ("a", "b", "new.png"):  # the disk is not there for a while
        shutil.move(pictures / name, tmp_path / name)
    watching.until(failures=2)
    assert "nothing was removed" in watching.failures[1].message
    time.sleep(0.3)
    assert len(watching.failures) == 2  # told once
    for name in ("a", "b", "new.png"):
        shutil.move(tmp_path / name, pictures / name)
    paint(pictures / "last.png", "blue", mark=7)
    watching.until(reports=3)
    assert watching.reports[2].added == 1


def test_what_a_look_sees(pictures: Path, tmp_path: Path) -> None:
    seen = [state_of(pictures, tmp_path)]
    (pictures / "a" / "green.txt").write_text("x")
    seen.append(state_of(pictures, tmp_path))
    (pictures / "captions.csv").write_text("path,caption\n")
    seen.append(state_of(pictures, tmp_path))
    (pictures / "notes.md").write_text("x")
    (pictures / ".hidden.png").write_text("x")
    assert state_of(pictures, tmp_path) == seen[-1]
    (pictures / "a" / "green.png").unlink()
    seen.append(state_of(pictures, tmp_path))
    assert len(set(seen)) == 4
