"""verify: every file of a collection against the size and checksum that it was committed with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crossbit.errors import CollectionError
from crossbit.search.durable import Receipt
from crossbit.search.head import Head, read_head, read_meta
from crossbit.search.records import Damage, VerifyReport
from crossbit.search.writer import read_receipts


def verify(folder: Path) -> VerifyReport:
    """Read every byte of the last commit and say what is not as it was written.

    A commit that is made meanwhile takes files away; then the new commit is verified.
    """
    while True:
        for name, reader in (("meta.json", read_meta), ("head.json", read_head)):
            try:
                reader(folder)
            except CollectionError as error:
                found = error.message.removeprefix(f"{folder / name}: ")
                return VerifyReport(folder, 1, 0, (Damage(str(folder / name), found, "the file as it was written"),))
        head = read_head(folder)
        report = _verify(folder, head)
        if report.ok or read_head(folder).commit == head.commit:
            return report


def _verify(folder: Path, head: Head) -> VerifyReport:
    damage: list[Damage] = []
    files = 3 if head.receipts.size else 2
    size = head.receipts.size + sum((folder / name).stat().st_size for name in ("meta.json", "head.json"))
    for name, receipt, needed in _expected(folder, head, damage):
        files += 1
        found = _compare(folder / name, receipt, needed)
        if found:
            expected = f"{receipt.size:,} bytes with SHA-256 {receipt.sha256[:12]}"
            damage.append(Damage(str(folder / name), found, expected))
        size += receipt.size
    return VerifyReport(folder, files, size, tuple(damage))


def _expected(folder: Path, head: Head, damage: list[Damage]) -> Iterator[tuple[str, Receipt, bool]]:
    """Give every file with its receipt, and whether it has to be there."""
    for card in head.segments:
        for name, receipt in card.files.items():
            yield f"segments/{card.name}/{name}", receipt, True
    if head.quarantine_receipt is not None:
        yield head.quarantine, head.quarantine_receipt, True
    try:
        receipts = read_receipts(folder, head)
    except CollectionError as error:
        damage.append(Damage(str(folder / head.receipts.file), error.message.split(": ")[-1], "the log as committed"))
        return
    for name, receipt in receipts.items():
        yield name, receipt, not head.tidying


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
