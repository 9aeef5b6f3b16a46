"""The tables of docs/search.md and docs/scale.md, between marks of the pages: made from results/search by the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossbit.evaluation.compare import Lines
from crossbit.evaluation.page import put_between

Record = Mapping[str, Any]
"""What a benchmark wrote."""

NODE_GB = 64
"""Memory of a machine in the arithmetic of a cluster, of which half is for codes."""


def put(page: Path, name: str, text: str) -> None:
    """Put text between the marks of a name, and leave the rest of the page as it is.

    Raises:
        DataError: the page is not there, or has not both marks.
    """
    put_between(page, f"<!-- begin of {name} -->\n", f"<!-- end of {name} -->\n", text)


def hamming_table(record: Record) -> str:
    """Lay out the Hamming scan against its peers: single queries and batches."""
    heads = ("codes", "queries", "bound", "crossbit", "faiss", "usearch", "of the bound", "times faiss")
    rows = []
    for run in record["runs"]:
        ms = run["ms_a_query"]
        alone = run["batch"] == 1
        rows.append(
            (
                f"{run['rows']:,} x {run['bits']}",
                str(run["batch"]),
                _ms(ms["bound"]) if alone else "",
                _ms(ms["crossbit"]),
                _ms(ms["faiss"]) if "faiss" in ms else "–",
                _ms(ms["usearch"]) if "usearch" in ms else "–",
                f"{ms['crossbit'] / ms['bound']:.2f}" if alone else "",
                f"{ms['faiss'] / ms['crossbit']:.1f}" if "faiss" in ms else "–",
            )
        )
    return f"{_about(record)}; level {record['level']}; milliseconds a query\n\n{_table(heads, rows)}"


def two_stage_table(record: Record) -> str:
    """Lay out recall, time and memory of two stages: the points nearest to the claim, the filters beneath."""
    lead = (
        f"{_about(record)}; {record['rows']:,} x {record['width']} float32, {record['dense']} "
        f"{_ms(record['dense_ms'])} ms a query"
    )
    heads = ("bits", "candidates", "rescored on", "recall@10", "ms a query", "times faster", "memory")
    rows = [
        (
            str(p["bits"]), f"{p['candidates']:,}", p["vectors"], f"{p['recall']:.3f}", _ms(p["ms"]),
            f"{p['times_faster']:.0f}", f"1/{1 / p['memory_share']:.0f}",
        )
        for p in record["curve"]
        if p["candidates"] in (100, 200, 1000)
    ]  # fmt: skip
    return f"{lead}\n\n{_table(heads, rows)}"


def filters_table(record: Record) -> str:
    """Lay out what filters cost."""
    heads = ("let through", "candidates", "recall@10", "ms a query")
    rows = [
        (f"{p['share']:.0%}", f"{p['candidates']:,}", f"{p['recall']:.3f}", _ms(p["ms"])) for p in record["filters"]
    ]
    return _table(heads, rows)


def two_stage_lines(record: Record) -> list[Lines]:
    """Lay the curve out: what recall costs, and what candidates bring."""
    int8 = [point for point in record["curve"] if point["vectors"] == "int8"]
    widths = list(dict.fromkeys(point["bits"] for point in int8))

    def lines(x: str) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
        mine = {bits: [point for point in int8 if point["bits"] == bits] for bits in widths}
        return {
            f"{bits} bits": ([p[x] for p in points], [p["recall"] for p in points]) for bits, points in mine.items()
        }

    title = f"{record['rows']:,} x {record['width']}, dense scan {record['dense_ms']:.0f} ms"
    return [
        Lines(title, "milliseconds a query", "recall@10 of the exact answer", lines("ms")),
        Lines("short list", "candidates rescored", "recall@10 of the exact answer", lines("candidates"), "log"),
    ]


def scale_table(record: Record) -> str:
    """Lay out what was measured as codes grow."""
    heads = (
        "codes", "memory", "scan, 1 query", "scan, of 100", "tables: memory", "tables: made in", "10 nearest", "within 2 bits",
        "graph, recall", "auto",
    )  # fmt: skip
    rows = []
    for run in record["runs"]:
        graph = "–" if run["graph_ms"] is None else f"{_ms(run['graph_ms'])} ms, {run['graph_recall']:.3f}"
        rows.append(
            (
                f"{run['rows']:,}", size(run["bytes"]), f"{_ms(run['scan_ms'])} ms", f"{_ms(run['batch_ms'])} ms",
                size(run["table_bytes"]), f"{run['table_s']:.1f} s", f"{_ms(run['table_ms'])} ms",
                f"{_ms(run['within_ms'])} ms", graph, run["auto"],
            )
        )  # fmt: skip
    lead = f"{_about(record)}; codes of {record['bits']} bits in clusters; peak memory {size(record['peak_bytes'])}"
    return f"{lead}\n\n{_table(heads, rows)}"


def scale_lines(record: Record) -> list[Lines]:
    """Lay the growth out: milliseconds over codes."""
    runs = record["runs"]
    rows = [run["rows"] for run in runs]
    lines: dict[str, tuple[Sequence[float], Sequence[float]]] = {
        "scan, one query": (rows, [run["scan_ms"] for run in runs]),
        "scan, of a batch of 100": (rows, [run["batch_ms"] for run in runs]),
        "tables, 10 nearest": (rows, [run["table_ms"] for run in runs]),
        "tables, within 2 bits": (rows, [run["within_ms"] for run in runs]),
    }
    if graphs := [run for run in runs if run["graph_ms"] is not None]:
        lines["graph, 10 nearest"] = ([run["rows"] for run in graphs], [run["graph_ms"] for run in graphs])
    title = f"codes of {record['bits']} bits, {record['threads']} thread(s)"
    return [Lines(title, "codes", "milliseconds a query", lines, "log", "log")]


def cluster_table(record: Record) -> str:
    """Work out what larger collections take, from what the largest that was measured took."""
    largest = max(record["runs"], key=lambda run: run["rows"])
    scan, batch = (largest[name] / largest["rows"] for name in ("scan_ms", "batch_ms"))  # ms a code
    width, tables = record["bits"] / 8, largest["table_bytes"] / largest["rows"]
    heads = ("codes", "codes alone", "with tables", "machines", "scan on all of them", "queries a second, in batches")
    rows = []
    for power in (8, 9, 10):
        codes = 10**power
        nodes = max(1, -(-int(codes * width) // (NODE_GB * 2**30 // 2)))
        rows.append(
            (
                f"10^{power}",
                size(codes * width),
                size(codes * (width + tables)),
                str(nodes),
                f"{_ms(codes * scan / nodes)} ms",
                f"{1e3 / (codes * batch / nodes):,.1f}",
            )
        )
    rates = f"{1e-6 / scan:.1f} thousand million codes a second for one query and {1e-6 / batch:.1f} in a batch"
    lead = (
        f"Each thread scans {rates}, as measured at {largest['rows']:,}; a machine has {NODE_GB} GB, half of them for codes, "
        f"and one thread is at work on each:"
    )
    return f"{lead}\n\n{_table(heads, rows)}"


def calibration_table(record: Record) -> str:
    """Lay out what probabilities are worth, language by language."""
    heads = (
        "asked in", "calibrated on", "calibration error", "Brier", "one for all", "right, kept", "no answer, refused",
        "decided well", "by the best score",
    )  # fmt: skip
    rows = [
        (
            language, way, f"{one['error']:.3f}", f"{one['brier']:.3f}", f"{one['plain_brier']:.3f}", f"{one['kept']:.0%}",
            f"{one['refused']:.0%}", f"{one['decided']:.1%}", f"{one['decided_by_best_score']:.1%}",
        )
        for language, ways in record["asked"].items()
        for way, one in ways.items()
    ]  # fmt: skip
    what = f"{record['items']:,} drawings of `{record['data']}` ({record['split']}) with names in {record['held']}"
    counts = {way: fitted["queries"] for way, fitted in record["fitted"].items()}
    fitted = f"{counts['captions']} of these, or on {counts['questions']} questions in {record['questions']}"
    lead = (
        f"`{record['command']}`, {record['date']}: {what}, model `{record['model']}`, calibrated on {fitted}; each question is "
        f"asked with its drawings and without. *By the best score*: the threshold on the score that is chosen afterwards, when "
        f"the answers are known."
    )
    return f"{lead}\n\n{_table(heads, rows)}"


def size(count: float) -> str:
    """Write bytes as people do."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _about(record: Record) -> str:
    machine = record["machine"]
    loaded = "" if record["load"] is None else f", load {record['load']}"
    return f"`{record['command']}`, {record['date']}, {machine['cpu']}, {record['threads']} thread(s){loaded}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
