"""Files that are cut short or have a bit turned, at random places: named by `verify`, then mended or refused."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

from crossbit.errors import CollectionError
from crossbit.search import Collection
from faults.world import HOME, OLD, check_rows, copy, must, opened, state_of

SKIPPED = frozenset({"lock", "latest_version_hint.json"})


class Damager:
    """Damages one file at a time.

    Args:
        template: a world.
        work: where worlds are copied to.
        seed: of files and places.
    """

    def __init__(self, template: Path, work: Path, seed: int) -> None:
        self.template, self.world = template, work / "world"
        self.chance = random.Random(seed)
        place = template / HOME
        paths = (path for path in place.rglob("*") if path.is_file() and path.name not in SKIPPED)
        self.files = sorted(path.relative_to(place).as_posix() for path in paths)
        self.truth = state_of(opened(place))
        self.outcome: Counter[str] = Counter()
        self.hurt: Counter[str] = Counter()

    def damage(self, how: str) -> None:
        """Damage a random file, look, and mend.

        Args:
            how: "flip" turns one bit, "cut" takes a piece off the end.
        """
        shutil.rmtree(self.world, ignore_errors=True)
        copy(self.template, self.world)
        name = self.chance.choice(self.files)
        path = self.world / HOME / name
        data = bytearray(path.read_bytes())
        if how == "flip":
            data[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)
        else:
            del data[self.chance.randrange(len(data)) :]
        path.write_bytes(data)
        inode = path.stat().st_ino
        same = {other for other in (self.world / HOME).rglob(path.name) if other.stat().st_ino == inode}
        self.hurt[_kind(name)] += 1
        self._look(path)
        named = {Path(damage.file) for damage in _verify(self.world / HOME)}
        must(named == same, f"{name} ({how}): verify names {sorted(map(str, named))}")
        self._mend(name, how)

    def _look(self, path: Path) -> None:
        """Search: the answer is right, or the damage is named; nothing else."""
        try:
            hits = Collection.open(self.world / HOME, OLD).search("red", k=99)
        except CollectionError as error:
            must(path.name in str(error), f"the message does not name {path.name}: {error}")
            self.outcome["search refused, file named"] += 1
            return
        must({hit.id for hit in hits} == set(self.truth), f"{path.name}: a search gives other items")
        self.outcome["search not touched"] += 1

    def _mend(self, name: str, how: str) -> None:
        report = Collection.mend(self.world / HOME, OLD, progress=False)
        must(not report.given_up, f"{name} ({how}): gave up {report.given_up}")
        self.outcome["mended"] += 1
        collection = opened(self.world / HOME)
        must(state_of(collection) == self.truth, f"{name} ({how}): mended to {state_of(collection)}")
        must(collection.verify().ok, f"{name} ({how}): {collection.verify().damage}")
        must(len(list(collection.at("early").all_items())) > 0, f"{name} ({how}): the snapshot is gone")
        check_rows(collection)


def _verify(place: Path) -> list:  # type: ignore[type-arg]
    from crossbit.search.verify import verify

    return list(verify(place))


def _kind(name: str) -> str:
    parts = name.split("/")
    return f"{parts[0]}/...{Path(name).suffix}" if len(parts) > 1 else name.split("-")[0]
