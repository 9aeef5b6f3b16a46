"""crossbit data prepare: packaged data sets are made in the cache, part by part."""

from __future__ import annotations

import typer

from crossbit.cli.show import counted, json_out, printable, say, table_out
from crossbit.data.packaged import PACKAGED


def prepare(
    data: str = typer.Argument("openmoji", metavar="NAME", help=f"Which one: {', '.join(PACKAGED)}."),
    only: str = typer.Option(
        None, "--only", metavar="PART,...", help="Of picto, these parts and those that are there."
    ),
    languages: str = typer.Option(None, "--languages", metavar="el,sw,...", help="That the part espeak speaks."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Prepare a packaged data set in the cache; what is there already is kept."""
    from crossbit.cli.data import open_data, print_summary
    from crossbit.errors import ConfigError

    if data.partition(":")[0] not in ("picto", "picto-hand"):
        if only or languages:
            raise ConfigError(
                f"{data}: has no parts to choose from", "leave --only and --languages away, or name picto"
            )
        print_summary(open_data(data), json)
        return
    from crossbit.data.picto import assemble

    made = assemble.prepare(
        only.split(",") if only else None, languages=tuple(languages.split(",")) if languages else ()
    )
    record = assemble.record()
    for part, reason in made.left_out.items():
        say(f"{part}: left out, {reason}")
    if json:
        json_out({"path": made.path, **record})
        return
    typer.echo(f"picto: {counted(sum(record['items'].values()), 'item')} in {printable(made.path)}")
    table_out(("source", "items"), list(record["items"].items()), right=(1,))
    table_out(("step", "seconds"), list(made.seconds.items()), right=(1,))
