"""crossbit search: words or a picture in, ranked pictures out. Nothing here or below imports torch."""

from __future__ import annotations

import re
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from crossbit.cli.explained import explained, maps_of, write_explained
from crossbit.cli.locate import find_collection
from crossbit.cli.show import counted, json_out, paths_out, printable, say, table_out
from crossbit.errors import NothingFound, UsageError

if TYPE_CHECKING:
    import numpy as np

    from crossbit.search.records import Hit
    from crossbit.search.reranking import Reranking


def search(
    query: list[str] = typer.Argument(None, metavar="QUERY", help="What to look for, in any language the model reads."),
    image: Path = typer.Option(None, "--image", "-i", metavar="FILE", help="Look for pictures like this one."),
    number: int = typer.Option(10, "-n", "--number", metavar="N", help="How many answers."),
    collection: Path = typer.Option(
        None, "--collection", "-c", metavar="FOLDER", help="The collection or its folder of pictures; else the nearest."
    ),
    model: str = typer.Option(
        None, "--model", "-m", metavar="NAME", help="In place of the one that the collection names."
    ),
    where: str = typer.Option(None, "--where", metavar="EXPR", help='Filter by metadata, such as "year > 2020".'),
    threshold: float = typer.Option(
        None, "--threshold", "-t", metavar="X", help="Leave out answers with a lower score."
    ),
    min_probability: float = typer.Option(
        None,
        "--min-probability",
        min=0.0,
        max=1.0,
        metavar="P",
        help="Leave out answers that are less likely right, after `crossbit collection calibrate`.",
    ),
    candidates: int = typer.Option(
        None, "--candidates", metavar="N", help="How many make the short list before rescoring or re-ranking."
    ),
    rerank: str = typer.Option(
        None,
        "--rerank",
        metavar="NAME",
        help="Order the best anew by a model that scores pairs, or a method trained here.",
    ),
    budget: str = typer.Option(
        None, "--budget", metavar="TIME", help="Time for that, such as 50ms; else all are scored."
    ),
    explain: Path = typer.Option(
        None, "--explain", metavar="PLACE", help="Write where each word is: a sheet.png, or a folder of pictures."
    ),
    on_long_text: Literal["error", "truncate", "chunk"] = typer.Option(
        "truncate",
        "--on-long-text",
        metavar="error|truncate|chunk",
        help="What to do with a query that is longer than the model reads.",
    ),
    at: str = typer.Option(
        None, "--at", metavar="VERSION", help="Search the past: a snapshot, a number of `versions`, a date or a time."
    ),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
    paths: bool = typer.Option(False, "--paths", help="Print only paths, one a line, for pipes."),
    null: bool = typer.Option(False, "-0", "--null", help="Like --paths, each ended by NUL, as `xargs -0` reads them."),
    html: Path = typer.Option(None, "--html", metavar="FILE", help="Also write a page with the pictures."),
    open_page: bool = typer.Option(False, "--open", help="Open a page with the pictures in the browser."),
) -> None:
    """Find pictures by words in any language, or by another picture."""
    from crossbit.search.collection import Collection
    from crossbit.search.reranking import reranker

    text = " ".join(query or ()).strip()
    if not text and image is None:
        raise UsageError(
            "search: the query is empty, expected words or `--image FILE`", 'try `crossbit search "a dog"`'
        )
    with Collection.open(find_collection(collection), model) as opened:
        by = reranker(rerank, opened.model) if rerank else None
        hits = opened.search(
            text or None,
            image=image,
            k=number,
            where=where,
            threshold=threshold,
            candidates=candidates,
            on_long_text=on_long_text,
            at=at,
            rerank=by,
            budget_ms=None if budget is None else milliseconds(budget),
            min_probability=min_probability,
        )
        explanations = explained(by or opened.model, text, hits) if explain is not None and hits else []
        head: dict[str, Any] = {
            "query": text or None,
            "image": image,
            "collection": opened.folder,
            "model": (opened.snapshot if at is None else opened.at(at)).meta.model,
        }
        asked, total = text or printable(image or ""), len(opened)
        about = f"model: {head['model']}, {counted(total, 'picture')} in {printable(opened.folder)}"
        if opened.reranking is not None:
            head["rerank"] = asdict(opened.reranking)
            about += f"; {_reranked(opened.reranking)}"
    maps = maps_of(hits, explanations) if explanations else []
    if json:
        told = [{"explained": one.to_dict()} for one in explanations] or [{} for _ in hits]
        json_out({**head, "hits": [{**hit.to_dict(), **more} for hit, more in zip(hits, told, strict=True)]})
    elif paths or null:
        paths_out((hit.path for hit in hits), null=null)
    elif hits:
        say(about)
        _table(hits)
    if not hits:
        what = "nothing found" if min_probability is None else "no good match"
        raise NothingFound(f"{what} for {asked!r}", _why_nothing(total, where, threshold, min_probability))
    if explain is not None:
        write_explained(explain, text, hits, maps)
    if html is not None or open_page:
        page = write_page(
            html or Path(tempfile.mkdtemp(prefix="crossbit-")) / "answers.html", asked, image, hits, about, maps
        )
        say(f"page: {printable(page)}")
        if open_page and not webbrowser.open(page.absolute().as_uri()):
            say("no browser could be opened; open the page by hand")


def _table(hits: Sequence[Hit]) -> None:
    """Print hits, with their probability where they have one."""
    rows = [(hit.rank, f"{hit.score:.3f}", printable(_short(hit.path)), hit.why) for hit in hits]
    if any(hit.probability is None for hit in hits):
        table_out(("rank", "score", "path", "why"), rows, right=(0, 1))
        return
    told = [
        (rank, score, f"{hit.probability:.0%}", *rest) for hit, (rank, score, *rest) in zip(hits, rows, strict=True)
    ]
    table_out(("rank", "score", "likely", "path", "why"), told, right=(0, 1, 2))


def milliseconds(text: str) -> float:
    """Read a time such as 50ms or 0.2s; a number alone is milliseconds.

    Raises:
        UsageError: it is no time above zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|)", text.strip())
    if match is None or float(match[1]) == 0:
        raise UsageError(f"--budget: found {text!r}, expected a time above zero", "write it like 50ms or 0.2s")
    return float(match[1]) * (1000 if match[2] == "s" else 1)


def _reranked(how: Reranking) -> str:
    """Say how re-ranking went, in a line."""
    said = f"re-ranked {how.scored} of {how.candidates} by {how.model} in {how.total_ms:.0f} ms"
    if how.from_files:
        said += f", {how.from_files} encoded again from their files in {how.encoding_ms:.0f} ms"
    return said + (f", {how.unreadable} could not be read" if how.unreadable else "")


def write_page(
    path: Path,
    asked: str,
    image: Path | None,
    hits: Sequence[Hit],
    lead: str,
    maps: Sequence[Sequence[tuple[str, np.ndarray]]] = (),
) -> Path:
    """Write one search as a page of pictures, with the heat maps of the words where there are any."""
    from crossbit.cli.sheet import Answer, Section, write_sheet
    from crossbit.media.write import png_bytes

    pngs = [[(word, png_bytes(picture)) for word, picture in drawn] for drawn in maps] or [[] for _ in hits]
    answers = [
        Answer(hit.path, _name(hit), hit.score, printable(_short(hit.path)), link=True, maps=png)
        for hit, png in zip(hits, pngs, strict=True)
    ]
    return write_sheet(path, "crossbit search", [Section("" if image else asked, answers, asked=image)], lead=lead)


def _name(hit: Hit) -> str:
    """Give the caption that was found, else the first one, else nothing."""
    return hit.why if hit.why in hit.captions else next(iter(hit.captions), "")


def _short(path: Path) -> Path:
    """Give the path as seen from the current folder, where it lies in it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _why_nothing(total: int, where: str | None, threshold: float | None, least: float | None) -> str:
    if not total:
        return "the collection is empty; `crossbit index FOLDER` fills it"
    options = (("--where", where), ("--threshold", threshold), ("--min-probability", least))
    causes = [name for name, value in options if value is not None]
    return f"leave {' or '.join(causes)} away to see what there is" if causes else ""
