"""verify: every file of a collection against the size and checksum that it was committed with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from crossbit.errors import CollectionError
from crossbit.search import tokens
from crossbit.search.durable import Receipt
from crossbit.search.head import Head, read_head, read_meta
from crossbit.search.logs import read_log
from crossbit.search.records import Damage, VerifyReport
from crossbit.search.writer import read_receipts


def verify(folder: Path) -> VerifyReport:
    """Read every byte of the last commit and say what is not as it was written.

    A commit that is made meanwhile takes files away; then the new commit is verified.
    """
    while True:
        if damage := _unreadable(folder):
            return VerifyReport(folder, 1, 0, (damage,))
        head = read_head(folder)
        report = _verify(folder, head)
        if report.ok or read_head(folder).commit == head.commit:
            return report


def _verify(folder: Path, head: Head) -> VerifyReport:
    damage: list[Damage] = []
    small = [folder / name for name in ("meta.json", "head.json", "meta.copy.json", "head.copy.json")]
    damage.extend(_copies(folder))
    data = folder / head.place
    if head.place:
        damage.extend(_meta_of_place(data))
    small += [data / log.file for log in (head.receipts, head.history) if log.size]
    small += [data / "meta.json", data / "meta.copy.json"] if head.place else []
    files, size = len(small), sum(path.stat().st_size for path in small if path.exists())
    for path, receipt, needed in _expected(data, head, damage):
        files += 1
        found = _compare(path, receipt, needed)
        if found:
            damage.append(Damage(str(path), found, f"{receipt.size:,} bytes with SHA-256 {receipt.sha256[:12]}"))
        size += receipt.size
    for kept in _listed(folder / "snapshots"):
        found_there = _verify_snapshot(kept)
        files, size = files + found_there.files, size + found_there.bytes
        damage.extend(found_there.damage)
    for path, what in tokens.damaged(folder):
        damage.append(Damage(str(path), what, "the kept tokens as they were written"))
    kept_files = [path for path in (folder / tokens.FOLDER).rglob("*") if path.is_file()]
    files, size = files + len(kept_files), size + sum(path.stat().st_size for path in kept_files)
    if head.migrating:
        begun = verify(folder / head.migrating)
        files, size = files + begun.files, size + begun.bytes
        damage.extend(begun.damage)
    return VerifyReport(folder, files, size, tuple(damage))


def _unreadable(folder: Path) -> Damage | None:
    """Give the first of the two small files without which nothing else can be checked, where it cannot be read."""
    for name, reader in (("meta.json", read_meta), ("head.json", read_head)):
        try:
            reader(folder)
        except CollectionError as error:
            found = error.message.removeprefix(f"{folder / name}: ")
            return Damage(str(folder / name), found, "the file as it was written")
    return None


def _meta_of_place(data: Path) -> Iterator[Damage]:
    for name in ("meta.json", "meta.copy.json"):
        try:
            read_meta(data, name)
        except CollectionError as error:
            found = error.message.removeprefix(f"{data / name}: ")
            yield Damage(str(data / name), found, "the file as it was written")


def _copies(folder: Path) -> Iterator[Damage]:
    """Check the copies of the small files; one that is a commit behind is as a killed writer left it, and no damage."""
    for name, reader in (("meta.copy.json", read_meta), ("head.copy.json", read_head)):
        path = folder / name
        if not path.is_file():
            yield Damage(str(path), "missing", "a copy, for repair")
            continue
        try:
            reader(folder, name)
        except CollectionError as error:
            yield Damage(str(path), error.message.removeprefix(f"{path}: "), "the file as it was written")


def _verify_snapshot(folder: Path) -> VerifyReport:
    """Check the files of a commit that was kept by name."""
    if folder.name.endswith(".partial"):
        return VerifyReport(folder, 0, 0)
    if broken := _unreadable(folder):
        return VerifyReport(folder, 1, 0, (broken,))
    head, damage = read_head(folder), list(_copies(folder))
    files, size = 4, 0
    for path, receipt, _ in _expected(folder, head, damage):
        files, size = files + 1, size + receipt.size
        if found := _compare(path, receipt, True):
            damage.append(Damage(str(path), found, f"{receipt.size:,} bytes with SHA-256 {receipt.sha256[:12]}"))
    return VerifyReport(folder, files, size, tuple(damage))


def _expected(data: Path, head: Head, damage: list[Damage]) -> Iterator[tuple[Path, Receipt, bool]]:
    """Give every file with its receipt, and whether it has to be there."""
    for card in head.segments:
        for name, receipt in card.files.items():
            yield data / "segments" / card.name / name, receipt, True
    if head.quarantine_receipt is not None:
        yield data / head.quarantine, head.quarantine_receipt, True
    try:
        read_log(data, head.history)
    except CollectionError as error:
        damage.append(Damage(str(data / head.history.file), error.message.split(": ")[-1], "the log as committed"))
    try:
        receipts = read_receipts(data, head)
    except CollectionError as error:
        damage.append(Damage(str(data / head.receipts.file), error.message.split(": ")[-1], "the log as committed"))
        return
    for name, receipt in receipts.items():
        yield data / name, receipt, not head.tidying


def damaged_files(files: Iterable[tuple[Path, Receipt]], *, may_miss: bool = False) -> list[Path]:
    """Give those files that are not as they were committed."""
    return [path for path, receipt in files if _compare(path, receipt, not may_miss)]


def _compare(path: Path, receipt: Receipt, needed: bool) -> str:
    """Say what is wrong with a file; empty when nothing is."""
    try:
        if (size := path.stat().st_size) != receipt.size:
            return f"{size:,} bytes"
        found = Receipt.of(path)
    except FileNotFoundError:
        return "missing" if needed else ""
    except OSError as error:
        return (error.strerror or "cannot be read").lower()
    return "" if found == receipt else f"SHA-256 {found.sha256[:12]}"


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
