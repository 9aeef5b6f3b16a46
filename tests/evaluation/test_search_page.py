"""Tables of the pages on search and scale: from records to Markdown, and into a page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crossbit.codes import kernel
from crossbit.errors import DataError
from crossbit.evaluation.compare import plot_lines
from crossbit.evaluation.search_page import (
    calibration_table,
    cluster_table,
    filters_table,
    hamming_table,
    put,
    scale_lines,
    scale_table,
    size,
    two_stage_lines,
    two_stage_table,
)

ROOT = Path(__file__).parents[2]
HEAD: dict[str, Any] = {
    "command": "python benchmarks/x.py", "date": "2026-01-02", "load": 0.5, "machine": {"cpu": "A Processor"}, "threads": 1,
}  # fmt: skip
RUN: dict[str, Any] = {
    "rows": 100_000_000, "bytes": 800_000_000, "scan_ms": 25.0, "batch_ms": 10.0, "tables": 3, "table_bytes": 1_200_000_000,
    "table_s": 4.0, "table_ms": 3.0, "within_ms": 0.02, "auto": "mih", "graph_ms": None, "graph_recall": None,
}  # fmt: skip


def test_the_scan_against_its_bound_and_its_peers() -> None:
    runs = [
        {"rows": 1_000_000, "bits": 64, "batch": 1, "ms_a_query": {"bound": 0.2, "crossbit": 0.25, "faiss": 1.0}},
        {"rows": 1_000_000, "bits": 64, "batch": 200, "ms_a_query": {"bound": 0.2, "crossbit": 0.1, "faiss": 1.5}},
    ]
    lines = hamming_table({**HEAD, "level": "avx512", "runs": runs}).splitlines()
    assert lines[-2] == "| 1,000,000 x 64 | 1 | 0.2 | 0.25 | 1 | – | 1.25 | 4.0 |"
    assert lines[-1] == "| 1,000,000 x 64 | 200 |  | 0.1 | 1.5 | – |  | 15.0 |"


def test_two_stages_and_filters(tmp_path: Path) -> None:
    point = {"bits": 512, "vectors": "int8", "ms": 3.0, "recall": 0.985, "times_faster": 25.0, "memory_share": 0.03125}
    record = {
        **HEAD, "rows": 1000, "width": 512, "dense": "faiss", "dense_ms": 75.0,
        "curve": [{**point, "candidates": 1000}, {**point, "candidates": 50, "recall": 0.8}],
        "filters": [{"share": 0.01, "candidates": 200, "recall": 0.99, "ms": 0.5}],
    }  # fmt: skip
    assert two_stage_table(record).splitlines()[-1] == "| 512 | 1,000 | int8 | 0.985 | 3 | 25 | 1/32 |"
    assert filters_table(record).splitlines()[-1] == "| 1% | 200 | 0.990 | 0.5 |"
    made = plot_lines(two_stage_lines(record), tmp_path / "plot")
    assert [path.stat().st_size > 1000 for path in made] == [True, True]


def test_growth_and_what_follows_from_it(tmp_path: Path) -> None:
    record = {
        **HEAD,
        "bits": 64,
        "peak_bytes": 3_000_000_000,
        "runs": [RUN, {**RUN, "rows": 10_000, "graph_ms": 0.1, "graph_recall": 0.98}],
    }
    assert "| 100,000,000 | 800 MB | 25 ms | 10 ms | 1.2 GB | 4.0 s | 3 ms | 0.02 ms | – | mih |" in scale_table(record)
    lines = cluster_table(record).splitlines()
    # 1e8 codes in 25 ms are 4e9 a second; 1e10 codes are 80 GB, three machines of which each gives half of its 64 GiB,
    # so 2500 ms / 3; a batch takes 1000 ms / 3 a query
    assert "scans 4.0 thousand million codes a second for one query and 10.0 in a batch" in lines[0]
    assert lines[-1] == "| 10^10 | 80 GB | 200 GB | 3 | 833 ms | 3.0 |"
    assert len(plot_lines(scale_lines(record), tmp_path / "plot")) == 2


def test_what_probabilities_are_worth() -> None:
    one = {
        "questions": 282, "error": 0.06, "brier": 0.11, "plain_brier": 0.24, "kept": 0.73, "refused": 0.93, "decided": 0.851,
        "decided_by_best_score": 0.819,
    }  # fmt: skip
    record = {
        **HEAD, "items": 856, "data": "picto", "split": "val", "held": "en,de", "model": "base", "questions": "es",
        "fitted": {"captions": {"queries": 500}, "questions": {"queries": 141}}, "asked": {"fr": {"questions": one}},
    }  # fmt: skip
    lines = calibration_table(record).splitlines()
    assert "calibrated on 500 of these, or on 141 questions in es" in lines[0]
    assert lines[-1] == "| fr | questions | 0.060 | 0.110 | 0.240 | 73% | 93% | 85.1% | 81.9% |"


def test_sizes_are_written_as_people_do() -> None:
    assert [size(count) for count in (12, 1234, 8e8, 3.2e9, 5e13)] == ["12 B", "1.23 KB", "800 MB", "3.2 GB", "50 TB"]


def test_a_page_keeps_what_is_around_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n<!-- begin of x -->\nold\n<!-- end of x -->\n<!-- begin of y -->\n<!-- end of y -->\nlast\n")
    put(page, "x", "new\n")
    put(page, "y", "z\n")
    assert page.read_text() == (
        "# A\n<!-- begin of x -->\nnew\n<!-- end of x -->\n<!-- begin of y -->\nz\n<!-- end of y -->\nlast\n"
    )
    with pytest.raises(DataError, match="lacks the first mark"):
        put(page, "z", "")
    with pytest.raises(DataError, match="cannot be read"):
        put(tmp_path / "none.md", "x", "")


def test_the_pages_have_the_marks_that_the_benchmarks_write_to() -> None:
    for page, names in {
        "search": ("the Hamming scan", "two stages", "filters", "calibration"),
        "scale": ("the growth", "the arithmetic"),
    }.items():
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        for name in names:
            assert f"<!-- begin of {name} -->\n" in text
            assert f"<!-- end of {name} -->\n" in text


@pytest.mark.slow
@pytest.mark.skipif(kernel.extension() is None, reason="the benchmarks measure the kernel")
@pytest.mark.parametrize(
    ("program", "small"),
    [
        ("hamming", ["--cases", "2000x64,2000x128", "--batch", "1,8", "--rounds", "1"]),
        ("two_stage", ["--rows", "3000", "--centres", "60", "--queries", "8", "--bits", "64,512", "--rounds", "1"]),
        ("scale", ["--rows", "2000,4000", "--graphs", "2000", "--queries", "4", "--rounds", "1"]),
    ],
)
def test_the_benchmarks_run(program: str, small: list[str]) -> None:
    command = [sys.executable, f"benchmarks/{program}.py", *small, "--no-write", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(done.stdout)
    assert found["machine"]["cpu"]
    assert found["threads"] == 1
