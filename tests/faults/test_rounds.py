"""A few rounds of every fault; `make faults` makes hundreds. Each is random, so the seed is told."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from faults.__main__ import FAULTS, run
from faults.cuts import can_loop
from faults.disks import can_mount
from faults.world import build

IN_SHORT = ("kill-compact", "kill-migrate", "cut", "flip")
SEED = int(os.environ.get("CROSSBIT_SEED", random.randrange(1_000_000)))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "world"
    build(folder)
    return folder


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=() if fault in IN_SHORT else pytest.mark.slow) for fault in FAULTS]
)
def test_nothing_is_lost(fault: str, template: Path, tmp_path: Path) -> None:
    if fault.startswith("full") and not can_mount(tmp_path / "probe"):
        pytest.skip("this user may not mount a disk")
    if fault.startswith("read-only") and not can_loop(tmp_path):
        pytest.skip("this user may not mount a file as a disk")
    rounds = 8 if fault in ("cut", "flip") else 2
    found = run(fault, rounds, template, tmp_path, SEED)
    assert found["broken"] == [], f"seed {SEED}"
    assert found["rounds"] == rounds
    assert sum(found["outcomes"].values()) >= rounds


def test_a_lost_item_would_be_seen(template: Path, tmp_path: Path) -> None:
    """The checks can fail: an item that goes behind the back of an operation is told."""
    from faults.world import HOME, OPERATIONS, Broken, check_between, copy, opened, state_of

    copy(template, tmp_path / "w")
    collection = opened(tmp_path / "w" / HOME)
    before = state_of(collection)
    collection.delete(min(before))
    with pytest.raises(Broken, match="is lost"):
        check_between(collection, OPERATIONS["add"], before, before)
    with pytest.raises(Broken, match="neither the state before nor the one after"):
        check_between(collection, OPERATIONS["compact"], before, before)
