"""The commands that report what the cache holds."""

from datetime import datetime
from typing import Annotated

import typer

from ingest.cli.app import completing
from ingest.cli.app.options import OUTPUT, PRUNED, Config, End, First, HeldDatasets, Json
from ingest.cli.app.root import app
from ingest.cli.output import Deed


@app.command()
def status(
    dataset: HeldDatasets = None,
    json: Json = False,
    max_age: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SESSIONS",
            help="Exit 3 if more sessions whose files are due are newer than the stored ones.",
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Show what is stored, what is missing and why, sizes, and the last runs."""
    from ingest.cli.commands.state.status import status_command

    raise typer.Exit(status_command(dataset or [], config, json, max_age))


@app.command()
def corrections(
    dataset: HeldDatasets = None,
    ticker: Annotated[
        str | None, typer.Option(metavar="TICKER", autocompletion=completing.tickers, help="Only this ticker.")
    ] = None,
    start: First = None,
    end: End = None,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each change.")
    ] = False,
    config: Config = None,
) -> None:
    """List what republished files changed: date, ticker, column, old value, new value."""
    from ingest.cli.commands.state.corrections import corrections_command

    window = (start.date() if start else None, end.date() if end else None)
    raise typer.Exit(corrections_command(dataset or [], ticker, *window, config, as_json=json))


@app.command()
def findings(
    dataset: HeldDatasets = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", autocompletion=completing.kinds, help='Only this kind, such as "low above high".'),
    ] = None,
    start: First = None,
    end: End = None,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each finding.")
    ] = False,
    config: Config = None,
) -> None:
    """List oddities in the stored sessions: repeated tickers, impossible prices, unusual row counts."""
    from ingest.cli.commands.state.findings import findings_command

    window = (start.date() if start else None, end.date() if end else None)
    raise typer.Exit(findings_command(dataset or [], kind, *window, config, as_json=json))


@app.command()
def verify(
    dataset: HeldDatasets = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also unpack all parts and rebuild all CSVs in memory to compare.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what is broken from the parts, and download the rest again.")
    ] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Compare the files with the manifest: missing, damaged, unknown. Nothing is written without --repair."""
    from ingest.cli.commands.state.verify import verify_command

    code = verify_command(dataset or [], config, deep, repair, json)
    raise typer.Exit(Deed(code) if repair else code)


@app.command()
def restore(
    yes: Annotated[bool, typer.Option("--yes", help="Take the object store over without asking.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Restore the cache of a machine that is gone from its object store, and write there in its place.

    Nothing is downloaded from the vendor.
    """
    from ingest.cli.commands.state.restore import restore_command

    raise typer.Exit(Deed(restore_command(config, yes, json)))


@app.command()
def prune(
    dataset: HeldDatasets = None,
    before: Annotated[
        datetime | None,
        typer.Option(
            "--before",
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            rich_help_panel=PRUNED,
            help="Sessions before this date: their parts, and their rows in the tracked CSVs.",
        ),
    ] = None,
    untracked: Annotated[
        bool,
        typer.Option("--untracked", rich_help_panel=PRUNED, help="CSVs of tickers that are on no list any more."),
    ] = False,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", rich_help_panel=PRUNED, help="Refused files; runs request them again.")
    ] = False,
    spool: Annotated[
        bool, typer.Option("--spool", rich_help_panel=PRUNED, help="Unfinished downloads; they start over.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be removed; remove nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each kind.")
    ] = False,
    config: Config = None,
) -> None:
    """Free disk space: show what could be removed or, with flags, remove it."""
    from ingest.cli.commands.state.prune import prune_command
    from ingest.maintenance.pruning import Selection

    wanted = Selection(before.date() if before else None, untracked=untracked, quarantine=quarantine, spool=spool)
    code = prune_command(dataset or [], config, wanted, dry_run=dry_run, yes=yes, as_json=json)
    raise typer.Exit(code if dry_run or wanted.is_empty else Deed(code))


@app.command()
def move(
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="PLACE", help="s3://BUCKET/PREFIX, gs://…, az://…, or local. (default: what \\[cache] says)"
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the parts where they are, too: nothing is removed there.")
    ] = False,
    leave_damaged: Annotated[
        bool,
        typer.Option(
            "--leave-damaged", help="Move although parts are missing or damaged; runs download these sessions again."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be moved; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove the parts from where they are without asking.")] = False,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line, one a second.")
    ] = False,
    config: Config = None,
) -> None:
    """Move the parts of all datasets to an object store, to another one, or back to local folders.

    They are copied and compared first; then the cache uses them there; then they are removed where they were.
    Ctrl-C leaves everything as it is, and the same command goes on.
    """
    from ingest.cli.commands.state.move import move_command

    flags = {"keep": keep, "leave_damaged": leave_damaged, "dry_run": dry_run, "yes": yes, "as_json": json}
    code = move_command(to, config, **flags)
    raise typer.Exit(code if dry_run else Deed(code))
