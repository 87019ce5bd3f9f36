"""The commands that query the source."""

from pathlib import Path
from typing import Annotated

import typer

from ingest.cli.app.completing import words_of
from ingest.cli.app.options import LIMITS, OUTPUT, STORED, AllPermitted, Config, Datasets, End, Json, Months, Start
from ingest.cli.app.root import app
from ingest.cli.output import Deed


@app.command()
def run(
    dataset: Datasets = None,
    months: Months = None,
    start: Start = None,
    end: End = None,
    save_others: Annotated[
        bool | None,
        typer.Option(
            "--save-others/--no-save-others",
            rich_help_panel=STORED,
            help="Also store the tickers you don't track. (default: store)",
        ),
    ] = None,
    lake: Annotated[
        bool | None,
        typer.Option(
            "--lake/--no-lake",
            rich_help_panel=STORED,
            help="Also keep all that is stored as Parquet files. (default: \\[lake] enabled)",
        ),
    ] = None,
    tickers: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=STORED,
            help="A list of tickers to track, one per line, in place of \\[tracked]. Repeatable. "
            "It applies to all datasets of the run, which must be of one market.",
        ),
    ] = None,
    all_permitted: AllPermitted = False,
    max_files: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", rich_help_panel=LIMITS, help="Download at most N files, oldest first."),
    ] = None,
    max_bytes: Annotated[
        str | None,
        typer.Option(metavar="SIZE", rich_help_panel=LIMITS, help='Download at most this much: "20 MB", "1 GiB".'),
    ] = None,
    fallback: Annotated[
        bool,
        typer.Option(
            "--fallback/--no-fallback",
            rich_help_panel=STORED,
            show_default=False,
            help="Ask Yahoo for rows that Massive does not have, and for splits. (default: ask)",
        ),
    ] = True,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", rich_help_panel=LIMITS, help="Confirm a download of more than 1 GB.")
    ] = False,
    config: Config = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=512,
            metavar="N",
            rich_help_panel=LIMITS,
            help="Most downloads at once; fewer while the source is slow.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            rich_help_panel=LIMITS,
            autocompletion=words_of(("local", "processes", "dask://")),
            help="Where to download and split: local, processes (of this computer), or the Dask scheduler at "
            "dask://HOST:PORT or tls://HOST:PORT. (default: \\[engine] kind)",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", "-n", rich_help_panel=OUTPUT, help="Show what would be downloaded and why; download nothing."
        ),
    ] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", rich_help_panel=STORED, help="Download stored sessions again.")
    ] = False,
    wait: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            rich_help_panel=LIMITS,
            help="Wait up to this long (90m, 6h, 1d) for the file of the newest session that is over, then run. "
            "--dry-run does not wait.",
        ),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            rich_help_panel=STORED,
            help="Apply republished files even if they remove more than a tenth of a session's rows.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each event.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="Print only warnings and errors.")
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=OUTPUT, help="Append all that is said, with UTC times, to FILE."),
    ] = None,
    metrics_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="Replace FILE with numbers for Prometheus when the run has ended.",
        ),
    ] = None,
) -> None:
    """Download what is new, split it into both tiers, and skip what is done.

    Ctrl-C finishes what is in flight; the next run goes on from there.

    Several datasets run one after another: 4, 5, 6 and 130 end them all; otherwise the worst code counts.
    """
    from ingest.cli.commands.fetching.run import run_command
    from ingest.planning.request import Flags

    flags = Flags(
        months=months,
        start=start.date() if start else None,
        end=end.date() if end else None,
        save_others=save_others,
        lists=tuple(tickers or ()),
        concurrency=concurrency,
        refresh=refresh,
        all_permitted=all_permitted,
        max_files=max_files,
        max_bytes=max_bytes,
        confirmed=yes,
        fallback=fallback,
        accept=accept,
        wait=wait,
        log_file=log_file,
        metrics_file=metrics_file,
        engine=engine,
        lake=lake,
    )
    code = run_command(flags, dataset or [], config, dry_run=dry_run, json=json, quiet=quiet)
    raise typer.Exit(code if dry_run else Deed(code))


@app.command()
def check(
    dataset: Datasets = None,
    notify: Annotated[bool, typer.Option("--notify", help="Also send a test to everybody of \\[notify].")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Check what a run needs: settings, cache, keys, connection, clock, listing, subscription, a download, Yahoo.

    Also whether anybody is told how a run ended.
    """
    from ingest.cli.commands.starting.check import check_command

    raise typer.Exit(check_command(dataset or [], config, json, notify))


@app.command("list")
def list_(
    dataset: Datasets = None,
    months: Months = None,
    start: Start = None,
    end: End = None,
    all_permitted: AllPermitted = False,
    parts: Annotated[
        bool,
        typer.Option(
            "--parts",
            help="List the stored parts instead: dataset, session, tier, bytes, sha256, and path or URL.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each file.")
    ] = False,
    config: Config = None,
) -> None:
    """List the source's files for a window: size, time published, stored or not, permitted or not.

    --parts lists what is stored, without asking the source: for programs that read the parts by themselves.
    """
    from ingest.cli.commands.fetching.list import list_command, parts_command
    from ingest.planning.request import Flags

    flags = Flags(
        months=months,
        start=start.date() if start else None,
        end=end.date() if end else None,
        all_permitted=all_permitted,
    )
    command = parts_command if parts else list_command
    raise typer.Exit(command(flags, dataset or [], config, json))
