"""Result: one run measured once, as one JSON file that is written by a command and never overwritten.

A file holds one run, that is one seed of one system. Several seeds are several files with the same `system`; `compare` and
the claims put them together. So a seed can be added later and nothing that was measured is ever rewritten.
"""

from __future__ import annotations

import gzip
import json
import re
import shlex
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossbit import __version__
from crossbit.errors import DataError, MetricError, UsageError
from crossbit.evaluation.machine import machine
from crossbit.evaluation.measure import CUTS, DIRECTIONS, Answers, Curves, Measured, Metrics
from crossbit.metrics.significance import Run, Term

FORMAT = 1

MOST_BYTES = 256 * 2**20
"""Of a packed file once it is unpacked; the largest real one has a hundredth of it."""


def _text(path: Path) -> str:
    """Read a result file, packed or plain."""
    if path.suffix != ".gz":
        return path.read_text(encoding="utf-8")
    with gzip.open(path) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DataError(f"{path}: more than {MOST_BYTES:,} bytes unpacked, expected a result file")
    return content.decode("utf-8")


def this_command() -> str:
    """Give the command line of this process, the program by its bare name."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def now() -> str:
    """Give the time of day in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Result:
    """Hold what one run measured, and everything needed to measure it again.

    Args:
        system: what was measured, without the seed: results of one system are averaged.
        metrics: by language (and "mean"), by direction (and "both").
        answers: what each query got, by language and direction.
        data: name, split and fingerprint of the data, and how many pictures and texts.
        protocol: name, fingerprint and rules.
        model: name and fingerprint, what of it was compared ("embedding" or "code") and how wide that is.
        seeds: of the run; one, or none where nothing was trained.
        config: the settings of training, as far as they are known.
        command: what was typed.
        ties: how ties were counted; always the expectation.
        curves: by language and direction, of the hashing family; see `measure.Curves`.
    """

    system: str
    metrics: Mapping[str, Mapping[str, Metrics]]
    answers: Mapping[str, Mapping[str, Answers]]
    data: Mapping[str, Any]
    protocol: Mapping[str, Any]
    model: Mapping[str, Any]
    seeds: tuple[int, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    command: str = field(default_factory=this_command)
    machine: Mapping[str, Any] = field(default_factory=machine)
    date: str = field(default_factory=now)
    version: str = __version__
    ties: str = "expected"
    curves: Mapping[str, Mapping[str, Curves]] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        """Name the languages that were measured."""
        return tuple(self.answers)

    @property
    def rsum(self) -> float:
        """Give the rsum, the mean over languages."""
        return Measured(self.metrics, self.answers).rsum

    def terms(self, metric: str = "rsum", languages: Sequence[str] | None = None) -> Run:
        """Give a measure as means over queries, for intervals and tests.

        Args:
            metric: "rsum"; "recall_at_5" (the mean of both directions) or "text_to_image recall_at_5"; "map_all" or
                "image_to_text map_all".
            languages: averaged over; all by default.

        Raises:
            MetricError: the measure is not a mean over queries, or the language was not measured.
        """
        spoken = self.languages if languages is None else tuple(languages)
        if missing := [language for language in spoken if language not in self.answers]:
            raise MetricError(f"result {self.system!r}: no language {missing[0]!r}, it has {list(self.languages)}")
        direction, _, name = metric.rpartition(" ")
        directions = DIRECTIONS if not direction else (direction,)
        cuts = {"rsum": CUTS}.get(name) or tuple(int(cut) for cut in re.findall(r"^recall_at_(\d+)$", name))
        if (direction and direction not in DIRECTIONS) or (not cuts and name != "map_all"):
            raise MetricError(
                f"metric {metric!r} is not a mean over queries", 'expected "rsum", "recall_at_K" or "map_all"'
            )
        share = 100 / len(spoken) / (1 if name == "rsum" else len(directions))
        terms = []
        for language in spoken:
            for side in directions:
                got = self.answers[language][side]
                values = [got.hits(k) for k in cuts] if cuts else [got.average_precision]
                terms += [Term(value, got.item, share) for value in values]
        return terms

    def write(self, place: Path | str) -> Path:
        """Write the JSON file; what is there is never overwritten.

        Args:
            place: a folder, where a name is made from system, data and seed, with a counter if that exists already; or
                a file name ending in `.json`, or in `.json.gz` for a quarter of the size.

        Raises:
            UsageError: the file exists.
        """
        place = Path(place)
        if place.name.endswith((".json", ".json.gz")):
            place.parent.mkdir(parents=True, exist_ok=True)
            if not self._write_new(place):
                raise UsageError(f"{place}: exists, and results are never overwritten", "name another file or a folder")
            return place
        place.mkdir(parents=True, exist_ok=True)
        seed = "".join(f"-seed{seed}" for seed in self.seeds)
        stem = (
            re.sub(r"[^\w.]+", "-", f"{self.system}-{self.data['name']}-{self.data['split']}{seed}").strip("-").lower()
        )
        count = 1
        while not self._write_new(path := place / f"{stem}{f'-{count}' if count > 1 else ''}.json"):
            count += 1
        return path

    def _write_new(self, path: Path) -> bool:
        content = self.to_json().encode("utf-8")
        if path.suffix == ".gz":
            content = gzip.compress(content, mtime=0)
        try:
            with path.open("xb") as file:
                try:
                    file.write(content)
                    file.flush()
                except BaseException:  # a full disk, an interrupt: a half file would look like a result
                    path.unlink()
                    raise
        except FileExistsError:
            return False
        return True

    def to_json(self) -> str:
        """Give the file's text: one measure a line, the values of all queries of a direction in one line."""
        record = {"format": FORMAT, **{name: getattr(self, name) for name in _PLAIN}}
        record["metrics"] = {
            language: {
                side: {name: round(value, 4) for name, value in values.items()} for side, values in sides.items()
            }
            for language, sides in self.metrics.items()
        }
        text = json.dumps(record, ensure_ascii=False, indent=1)
        if self.curves:
            rounded = {
                language: {
                    side: {name: [round(value, 4) for value in line] for name, line in lines.items()}
                    for side, lines in sides.items()
                }
                for language, sides in self.curves.items()
            }
            text = text.removesuffix("\n}") + f',\n "curves": {json.dumps(rounded, separators=(",", ":"))}\n}}'
        queries = [
            f"  {json.dumps(language)}: {{\n"
            + ",\n".join(f"   {json.dumps(side)}: {_answers_to_json(got)}" for side, got in sides.items())
            + "\n  }"
            for language, sides in self.answers.items()
        ]
        return text.removesuffix("\n}") + ',\n "per_query": {\n' + ",\n".join(queries) + "\n }\n}\n"

    @classmethod
    def read(cls, path: Path | str) -> Result:
        """Read a result file.

        Raises:
            DataError: there is no such file, or it is not a result; the message names the file.
        """
        path = Path(path)
        try:
            record = json.loads(_text(path))
        except (OSError, EOFError, zlib.error) as error:
            why = getattr(error, "strerror", None) or error
            raise DataError(f"{path}: cannot be read ({why}), expected a result file") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not JSON, expected a result file") from error
        if not isinstance(record, dict) or "per_query" not in record:
            raise DataError(f"{path}: not a result file", "result files are written by `crossbit evaluate`")
        if record.get("format") != FORMAT:
            raise DataError(f"{path}: result format {record.get('format')!r}, this version reads {FORMAT}")
        try:
            answers = {
                language: {side: _answers_from_json(got) for side, got in sides.items()}
                for language, sides in record["per_query"].items()
            }
            plain = {name: record[name] for name in _PLAIN if name != "seeds"}
            seeds, curves = tuple(record["seeds"]), dict(record.get("curves", {}))
            return cls(metrics=record["metrics"], answers=answers, seeds=seeds, curves=curves, **plain)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}: damaged result file ({type(error).__name__}: {error})") from error


_PLAIN = (
    "system",
    "command",
    "config",
    "data",
    "protocol",
    "model",
    "seeds",
    "ties",
    "machine",
    "date",
    "version",
)


def _answers_to_json(got: Answers) -> str:
    """Write first ranks, and the sizes of the tie groups only where something ties.

    With `tied` and `relevant_tied` a first rank gives back how many items were ahead, so nothing is lost.
    """
    record: dict[str, Any] = {}
    if not np.array_equal(got.item, np.arange(len(got))):
        record["item"] = got.item.tolist()
    ranks = got.first_rank
    record["first_rank"] = [int(rank) if rank.is_integer() else round(rank, 3) for rank in ranks.tolist()]
    if (got.tied != 1).any():
        record |= {"tied": got.tied.tolist(), "relevant_tied": got.relevant.tolist()}
    if len(got.average_precision):
        record["average_precision"] = [round(value, 6) for value in got.average_precision.tolist()]
    return json.dumps(record, separators=(",", ":"))


def _answers_from_json(record: Mapping[str, Any]) -> Answers:
    ranks = np.array(record["first_rank"], np.float64)
    ones = np.ones(len(ranks), np.int64)
    tied = np.array(record.get("tied", ones), np.int64)
    relevant = np.array(record.get("relevant_tied", ones), np.int64)
    return Answers(
        item=np.array(record.get("item", np.arange(len(ranks))), np.int64),
        ahead=np.rint(ranks - (tied + 1) / (relevant + 1)).astype(np.int64),
        tied=tied,
        relevant=relevant,
        average_precision=np.array(record.get("average_precision", []), np.float64),
    )
