"""crossbit data validate and crossbit data convert: other people's data sets, looked at and rewritten."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crossbit.cli.show import counted, json_out, printable, say
from crossbit.errors import UsageError

if TYPE_CHECKING:
    from crossbit.data.formats import Problem
    from crossbit.data.manifest import Manifest

_FAULTY = 3
_OPTION = typer.Option(
    None, "--option", metavar="KEY=VALUE", help="What the format takes, such as restval=drop; may stand several times."
)
_MEDIA = typer.Option(None, "--media", metavar="FOLDER", help="Where the media lie; else beside the list.")
_JSON = typer.Option(False, "--json", help="Print JSON.")


def validate(
    path: str = typer.Argument(..., metavar="PATH", help="A file or folder, or a pattern such as {00..07}.tar."),
    format: str = typer.Option(None, "--format", metavar="FORMAT", help="What it is in; else told by looking."),
    option: list[str] = _OPTION,
    media: Path = _MEDIA,
    limit: int = typer.Option(10, "--limit", min=1, metavar="N", help="Stop at so many problems."),
    no_media: bool = typer.Option(False, "--no-media", help="Do not look whether the media are there."),
    json: bool = _JSON,
) -> None:
    """Look for what is wrong with a data set: each problem with file, line and remedy; exit code 3 if there is one."""
    from crossbit.data import formats

    name = format or formats.detect(path)
    report = formats.validate(name, path, limit, media_files=not no_media, **_options(name, option, media))
    if json:
        facts = {
            "path": path,
            "format": name,
            "sound": not report.problems,
            "problems": [_facts(p) for p in report.problems],
        }
        json_out(facts | (_counts(report.manifest) if report.manifest else {}))
    elif not report.problems and report.manifest is not None:
        typer.echo(f"{printable(path)}: sound: {name}, {_counted(report.manifest)}")
    for problem in () if json else report.problems:
        typer.echo(f"{printable(problem.where)}: {printable(problem.message)}\n    {printable(problem.remedy)}")
    if report.problems:
        more = f"; it was read no further, `--limit {10 * limit}` shows more" if len(report.problems) == limit else ""
        say(f"{name}: {counted(len(report.problems), 'problem')}{more}")
        raise typer.Exit(_FAULTY)


def convert(
    source: str = typer.Argument(..., metavar="FROM", help="A data set by name, or in any format that is read."),
    target: Path = typer.Argument(..., metavar="TO", help="The file or folder to make; its suffix tells the format."),
    format: str = typer.Option(None, "--from", metavar="FORMAT", help="What FROM is in; else told by looking."),
    to: str = typer.Option(None, "--to", metavar="FORMAT", help="What TO shall be in; else told by its suffix."),
    option: list[str] = _OPTION,
    to_option: list[str] = typer.Option(
        None, "--to-option", metavar="KEY=VALUE", help="What the format that is written takes, such as language=en."
    ),
    media: Path = _MEDIA,
    copy: str = typer.Option(
        "none",
        "--copy",
        metavar="none|link|copy",
        help="Put the media beside a list that is written, as links or copies.",
    ),
    unescape: bool = typer.Option(False, "--unescape", help="Write what is HTML in captions (&amp;) as characters."),
    drop_faulty: bool = typer.Option(
        False, "--drop-faulty", help="Leave out records that are at fault and say how many, in place of stopping."
    ),
    licences: str = typer.Option(
        None, "--licences", metavar="CLASS,...", help="Keep items of these: permissive, share-alike, copyleft."
    ),
    json: bool = _JSON,
) -> None:
    """Rewrite a data set in another format; what that format cannot hold is said."""
    from crossbit.cli.data import open_data
    from crossbit.data import formats
    from crossbit.data.formats.convert import format_of
    from crossbit.data.picto.licences import of_licence

    written: Any = {"format": to or format_of(target), "copy": copy}
    written |= formats.options_of(written["format"], to_option or (), writing=True)
    if Path(source).exists() or "{" in source:
        name = format or formats.detect(source)
        options = _options(name, option, media)
        manifest = formats.read(name, source, drop_faulty=drop_faulty, unescape=unescape, **options)
    else:
        if format or option or media or drop_faulty or unescape:
            raise UsageError(f"{source}: no file or folder, and only such are read with --from, --option, --media, ...")
        manifest = open_data(source)
    if licences:
        manifest = of_licence(manifest, *licences.split(","))
    done = formats.convert(manifest, target, **written)
    for lost in done.lost:
        say(f"note: {lost}")
    if json:
        json_out({"path": target, "format": done.format, "lost": done.lost, **_counts(done.manifest)})
    else:
        typer.echo(f"{printable(target)}: {done.format}, {_counted(done.manifest)}")


def _options(name: str, pairs: list[str] | None, media: Path | None) -> dict[str, Any]:
    from crossbit.data import formats

    return dict(formats.options_of(name, [*(pairs or ()), *([f"media={media}"] if media else [])]))


def _facts(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "message": problem.message, "remedy": problem.remedy}


def _counts(manifest: Manifest) -> dict[str, Any]:
    captions = sum(len(item.captions) for item in manifest)
    return {"items": len(manifest), "captions": captions, "languages": manifest.languages}


def _counted(manifest: Manifest) -> str:
    facts = _counts(manifest)
    languages = ", ".join(facts["languages"][:12]) or "no language"
    return f"{counted(facts['items'], 'item')}, {counted(facts['captions'], 'caption')} in {languages}"
