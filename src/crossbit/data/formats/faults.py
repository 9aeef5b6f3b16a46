"""What is wrong with a data set: one `Problem` a finding, and `Notes`, which raises the first or collects the first few."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from crossbit.errors import ManifestError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """One finding.

    Args:
        file: the file that is at fault.
        line: its line, counted from 1; None where the file has none, such as a tar or a folder.
        message: the record, what was found and what was expected.
        remedy: what to do.
    """

    file: Path
    line: int | None
    message: str
    remedy: str

    @property
    def where(self) -> str:
        """Give `file` or `file:line`."""
        return str(self.file) if self.line is None else f"{self.file}:{self.line}"

    def error(self) -> ManifestError:
        """Give the finding as the error that a reader raises."""
        return ManifestError(f"{self.where}: {self.message}", self.remedy)


class Enough(Exception):  # noqa: N818 - ends a reading that has found what it looked for
    """As many problems were found as were asked for."""


class Notes:
    """Where a reader writes down what is wrong before it goes on without that record.

    Args:
        limit: raise `Enough` at so many problems; 0 raises the first one as a ManifestError.

    `places` says from which file and line each item came, for what is looked at after all of them were read.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.problems: list[Problem] = []
        self.places: dict[str, tuple[Path, int | None]] = {}

    def say(self, file: Path, line: int | None, message: str, remedy: str) -> None:
        """Note a problem.

        Raises:
            ManifestError: nobody collects, so the first problem ends the reading.
            Enough: the limit is reached.
        """
        problem = Problem(file, line, message, remedy)
        if not self.limit:
            raise problem.error()
        self.problems.append(problem)
        if len(self.problems) >= self.limit:
            raise Enough


class Dropping(Notes):
    """Collect without end: the reader leaves out every record that is at fault, and `tell` says how many."""

    def say(self, file: Path, line: int | None, message: str, remedy: str) -> None:
        """Note a problem and go on."""
        self.problems.append(Problem(file, line, message, remedy))

    def tell(self, name: str) -> None:
        """Warn about what was left out; nothing is skipped in silence."""
        if self.problems:
            first = self.problems[0]
            count = len(self.problems)
            _log.warning("%s: %d faults left out, the first: %s: %s", name, count, first.where, first.message)
