"""crossbit audit: find the pairs of a data set that are probably wrong, and let people decide."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from crossbit.cli.show import counted, json_out, printable, say, table_out


def audit(
    data: str = typer.Argument(..., metavar="DATA", help="A packaged data set, or a path in any format that is read."),
    output: Path = typer.Option(
        None, "--output", "-o", metavar="FOLDER", help="Folder of the audit, which is gone on with; else audits/NAME."
    ),
    split: str = typer.Option(None, "--split", help="Judge this split alone; else all items."),
    languages: str = typer.Option(None, "--languages", metavar="en,de,...", help="Judge captions in these; else all."),
    learn_from: str = typer.Option(
        None, "--learn-from", metavar="DATA", help="More pairs to learn from, in any format; they are not judged."
    ),
    folds: int = typer.Option(5, "--folds", min=2, max=50, help="How many models judge, each the pairs of one fold."),
    epochs: int = typer.Option(12, "--epochs", min=1, help="Epochs of each model."),
    seed: int = typer.Option(0, "--seed", min=0, help="Of folds and models."),
    limit: int = typer.Option(200, "--limit", min=1, max=5000, help="Pairs on the review page."),
    decided: Path = typer.Option(None, "--import", metavar="FILE", help="Keep the decisions of a review page."),
    clean: Path = typer.Option(
        None, "--write-clean", metavar="FILE", help="Write the data set without rejected pairs."
    ),
    above: float = typer.Option(
        None,
        "--reject-above",
        metavar="P",
        help="Also reject what is wrong with a larger probability and not accepted.",
    ),
    copy: str = typer.Option("none", "--copy", help="Media beside the clean data set: none, link or copy."),
    json: bool = typer.Option(False, "--json", help="Print the suspects as JSON."),
) -> None:
    """Rank the pairs of a data set by the probability that they are wrong, judged by models that have not seen them."""
    from crossbit.cli.audit_page import write_page
    from crossbit.cli.audit_run import audit as run
    from crossbit.cli.audit_run import auditable, besides, fingerprint_in
    from crossbit.cli.data import open_data
    from crossbit.data.formats.convert import convert
    from crossbit.evaluation import suspects as kept
    from crossbit.training.crossfit import CrossfitConfig

    spoken = languages.split(",") if languages else None
    whole = open_data(data, spoken)
    judged = auditable(whole.select(split, spoken))
    others = besides(judged, open_data(learn_from, spoken).select(languages=spoken)) if learn_from else None
    folder = output or Path("audits") / judged.name.replace(":", "-").replace("/", "-")
    found = run(judged, folder, CrossfitConfig(folds, epochs, seed=seed), others=others)
    mark = fingerprint_in(folder)
    before = folder / kept.DECISIONS
    decisions = kept.read_decisions(before, mark, found) if before.is_file() else {}
    if decided is not None:
        decisions |= kept.read_decisions(decided, mark, found)
        kept.write_decisions(decisions, mark, found, folder)
    page = write_page(found[:limit], judged, mark, decisions, folder / "review.html")
    suspects = [suspect for suspect in found if suspect.kind]
    if json:
        json_out([asdict(suspect) for suspect in suspects])
    else:
        rows = [(f"{s.probability:.2f}", s.kind, s.item, s.caption, s.better_caption) for s in suspects[:20]]
        table_out(("probability", "kind", "item", "caption", "fits better"), rows, right=(0,))
    say(
        f"{counted(len(suspects), 'suspect')} among {counted(len(found), 'pair')}; all in {printable(folder / kept.PAIRS)}"
    )
    say(f"review: {printable(page)}")
    if clean is not None:
        gone = kept.rejected(found, decisions, above)
        written = kept.without(whole, gone)
        convert(written, clean, copy=copy)  # type: ignore[arg-type]
        items = counted(len(whole) - len(written), "item")
        say(f"clean: {printable(clean)}, without {counted(len(gone), 'pair')} and {items} that have no caption left")
