"""The commands. Only signatures and help live here: what a command needs is imported when it is called."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    name="ingest",
    help="Bulk ingestion of Massive.com daily flat files: each day is downloaded once and split into a CSV for every "
    "ticker that you track and a compressed archive of all others.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings to use; else INGEST_CONFIG, ./config.toml, your own."),
]
Months = Annotated[int | None, typer.Option(min=1, max=1200, help="Calendar months back from today. (default: 24)")]
Start = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="First day, in place of --months."),
]
First = Annotated[
    datetime | None,
    typer.Option("--start", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="First day. (default: all)"),
]
End = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Last day, inclusive. (default: today)"),
]
AllPermitted = Annotated[bool, typer.Option("--all-permitted", help="All that your plan allows, in place of --months.")]
Tickers = Annotated[list[str], typer.Argument(metavar="TICKER…", help="Tickers, as the vendor spells them.")]
ListFile = Annotated[
    Path | None,
    typer.Option("--list", metavar="FILE", help="The list to change. (default: the first that is set)"),
]
Adjusted = Annotated[str, typer.Option("--adjust", metavar="none|splits|all", help="What prices are adjusted for.")]
AcrossSeams = Annotated[
    bool, typer.Option("--across-seams", help="Adjust across months without rows: it is one company all along.")
]
Sessions = Annotated[
    list[datetime], typer.Argument(formats=["%Y-%m-%d"], metavar="SESSION…", help="Their dates, YYYY-MM-DD.")
]
SomeSessions = Annotated[
    list[datetime] | None,
    typer.Argument(formats=["%Y-%m-%d"], metavar="[SESSION…]", help="Their dates, YYYY-MM-DD; none: all of them."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def datasets_beginning(incomplete: str) -> Iterator[tuple[str, str]]:
    """Datasets that a shell may offer for what was typed so far, with what they are."""
    from ingest.datasets import CATALOGUE

    for name, one in CATALOGUE.items():
        if name.startswith(incomplete):
            yield name, f"{'minute' if one.is_intraday else 'day'} bars, {one.name}"


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ingest {version('ingest')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command()
def run(
    months: Months = None,
    start: Start = None,
    end: End = None,
    save_others: Annotated[
        bool | None,
        typer.Option("--save-others/--no-save-others", help="Keep the tickers you don't track, too. (default: keep)"),
    ] = None,
    tickers: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A list of tickers to track, one a line; in place of [tracked]. Repeatable."),
    ] = None,
    all_permitted: AllPermitted = False,
    max_files: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Fetch so many files at most, the oldest first.")
    ] = None,
    max_bytes: Annotated[
        str | None, typer.Option(metavar="SIZE", help='Fetch so many bytes at most: "20 MB", "1 GiB".')
    ] = None,
    fallback: Annotated[
        bool, typer.Option("--fallback/--no-fallback", help="Ask Yahoo for what tracked tickers lack, and for splits.")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to a download of more than 1 GB.")] = False,
    config: Config = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=512, help="Downloads at once, at most; fewer while the source is slow.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be fetched and why; fetch nothing.")
    ] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Fetch what is held again.")] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept", help="Apply republished files even where they take away more than a tenth of a session's rows."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each event.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors alone.")] = False,
) -> None:
    """Download what is new and split it into both tiers; what is done is skipped.

    Ctrl-C finishes what is in flight; the next run goes on from there. Exit codes: 0 complete, 2 wrong flag or
    setting, 3 some sessions failed, 4 the source is down or refuses the keys, 5 the cache cannot be written,
    6 another run is going on, 130 interrupted.
    """
    from ingest.commands.run import run_command
    from ingest.request import Flags

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
    )
    raise typer.Exit(run_command(flags, config, dry_run, json, quiet))


@app.command()
def status(
    json: Json = False,
    max_age: Annotated[
        int | None,
        typer.Option(min=0, metavar="SESSIONS", help="Exit 3 when the newest session held is older than that."),
    ] = None,
    config: Config = None,
) -> None:
    """Show what the cache holds, what it lacks and why, its size, and the last runs."""
    from ingest.commands.status import status_command

    raise typer.Exit(status_command(config, json, max_age))


@app.command()
def corrections(
    ticker: Annotated[str | None, typer.Option(metavar="TICKER", help="Of this ticker alone.")] = None,
    start: First = None,
    end: End = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each change.")] = False,
    config: Config = None,
) -> None:
    """List what files that the vendor published again have changed: date, ticker, column, old value, new value."""
    from ingest.commands.corrections import corrections_command

    window = (start.date() if start else None, end.date() if end else None)
    raise typer.Exit(corrections_command(ticker, *window, json, config))


@app.command()
def findings(
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help='Of this kind alone, such as "low above high".')
    ] = None,
    start: First = None,
    end: End = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each finding.")] = False,
    config: Config = None,
) -> None:
    """List what is noteworthy about the sessions held: repeated tickers, prices that cannot be, odd numbers of rows."""
    from ingest.commands.findings import findings_command

    window = (start.date() if start else None, end.date() if end else None)
    raise typer.Exit(findings_command(kind, *window, json, config))


@app.command()
def verify(
    deep: Annotated[
        bool, typer.Option("--deep", help="Unpack all parts and make all CSVs once more, in memory, to compare.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what is broken from the parts, and fetch the rest again.")
    ] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Hold the files against the manifest: what is missing, damaged or unknown. Nothing is written without --repair.

    Exit codes: 0 nothing is broken, 3 something is missing or damaged, 4 it could not be fetched again, 5 the cache
    cannot be read, 6 a run holds the cache that is to be repaired.
    """
    from ingest.commands.verify import verify_command

    raise typer.Exit(verify_command(config, deep, repair, json))


@app.command()
def check(json: Json = False, config: Config = None) -> None:
    """Look at all that a run needs: settings, cache, keys, connection, clock, listing, your plan, a download, Yahoo.

    Exit codes: 0 all passed, 4 something is to be done.
    """
    from ingest.commands.check import check_command

    raise typer.Exit(check_command(config, json))


@app.command("list")
def list_(
    months: Months = None,
    start: Start = None,
    end: End = None,
    all_permitted: AllPermitted = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each file.")] = False,
    config: Config = None,
) -> None:
    """List the files that the source has for a window: size, published when, held or not, permitted or not."""
    from ingest.commands.list import list_command
    from ingest.request import Flags

    flags = Flags(
        months=months,
        start=start.date() if start else None,
        end=end.date() if end else None,
        all_permitted=all_permitted,
    )
    raise typer.Exit(list_command(flags, config, json))


@app.command()
def show(
    ticker: Annotated[str, typer.Argument(metavar="TICKER", help="As the vendor spells it: AAPL, BRK.B, BACpL.")],
    period: Annotated[
        str, typer.Option("--period", "-p", help="Back from today: 5d, 2wk, 6mo, 1y, ytd, max, or another number.")
    ] = "6mo",
    start: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="First day, in place of --period."),
    ] = None,
    end: End = None,
    data_source: Annotated[
        Literal["massive", "yfinance"],
        typer.Option(help="massive: what is stored or can be fetched, Yahoo for the rest; yfinance: Yahoo alone."),
    ] = "massive",
    adjust: Annotated[
        Literal["none", "splits", "all"],
        typer.Option(help="Prices as traded, adjusted for splits, or for splits and dividends."),
    ] = "all",
    rows: Annotated[int, typer.Option(min=0, metavar="N", help="Print so many of the last rows; 0: all.")] = 10,
    plot: Annotated[
        bool | None, typer.Option("--plot/--no-plot", help="Draw a chart; not told, where it goes to a terminal.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV, and nothing else.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print rows, sources and measures as one JSON object.")] = False,
    across_seams: Annotated[
        bool, typer.Option("--across-seams", help="Adjust where a ticker was away for months, as one company's.")
    ] = False,
    no_fetch: Annotated[bool, typer.Option("--no-fetch", help="Show what is stored; ask nobody.")] = False,
    config: Config = None,
) -> None:
    """Show a ticker's rows, where they came from, its return, volatility and volume, and a chart.

    Lacking days are fetched from Massive, each file once for all tickers, and from Yahoo where Massive has none.
    """
    from ingest.commands.show import Look, Wish, show_command

    wish = Wish(
        ticker=ticker,
        period=period,
        start=start.date() if start else None,
        end=end.date() if end else None,
        data_source=data_source,
        adjust=adjust,
        fetch=not no_fetch,
        across_seams=across_seams,
    )
    raise typer.Exit(show_command(wish, Look(rows, plot, csv, json), config))


config_app = typer.Typer(help="The settings: what holds, and where it comes from.", no_args_is_help=True)
app.add_typer(config_app, name="config")


@config_app.command("show")
def config_show(json: Json = False, config: Config = None) -> None:
    """Print each setting, its value, and whether a flag, the environment, a file or the default says so."""
    from ingest.commands.config import show_command

    raise typer.Exit(show_command(config, json))


@config_app.command("path")
def config_path(config: Config = None) -> None:
    """Print the file that the settings are read from."""
    from ingest.commands.config import path_command

    raise typer.Exit(path_command(config))


@app.command()
def adopt(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder that holds another tool's massive_cache and data_cache.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be adopted; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each file.")] = False,
    config: Config = None,
) -> None:
    """Take whole days that another tool has downloaded into this cache, so that they are not downloaded again.

    DIR is never changed. Exit codes: 0 all is adopted or held, 2 DIR cannot be used, 3 something was left alone.
    """
    from ingest.commands.adopt import adopt_command

    raise typer.Exit(adopt_command(folder, config, dry_run, json))


@app.command()
def export(
    tickers: Tickers,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder to write to; files there are replaced.")
    ],
    kind: Annotated[str, typer.Option("--format", metavar="csv|parquet", help="The kind of file.")] = "csv",
    start: Start = None,
    end: End = None,
    adjust: Adjusted = "none",
    across_seams: AcrossSeams = False,
    config: Config = None,
) -> None:
    """Write the stored rows of tickers, a file each: as traded, or adjusted for splits or for all.

    Exit codes: 0 all written, 2 wrong flag, 3 some tickers have no rows, 4 nothing is held or splits cannot be had.
    """
    from ingest.commands.export import export_command

    window = (start.date() if start else None, end.date() if end else None)
    raise typer.Exit(export_command(tickers, kind, out, window, adjust, across_seams, config))


track_app = typer.Typer(help="The tickers that get a CSV of their own.", no_args_is_help=True)
app.add_typer(track_app, name="track")


@track_app.command("add")
def track_add(tickers: Tickers, list_file: ListFile = None, config: Config = None) -> None:
    """Add tickers to a list and make their CSVs of what is held, at once and without any network."""
    from ingest.commands.track import add_command

    raise typer.Exit(add_command(tickers, list_file, config))


@track_app.command("remove")
def track_remove(tickers: Tickers, list_file: ListFile = None, config: Config = None) -> None:
    """Take tickers out of a list; their CSVs stay, and their new rows go to the archive."""
    from ingest.commands.track import remove_command

    raise typer.Exit(remove_command(tickers, list_file, config))


@track_app.command("list")
def track_list(json: Json = False, config: Config = None) -> None:
    """Show the tickers that are tracked, how far their history reaches, and what lacks them."""
    from ingest.commands.track import list_command

    raise typer.Exit(list_command(json, config))


@track_app.command("import")
def track_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list of tickers, one a line; # starts a comment.")],
    list_file: ListFile = None,
    config: Config = None,
) -> None:
    """Add all tickers of another file to a list."""
    from ingest.commands.track import import_command

    raise typer.Exit(import_command(file, list_file, config))


quarantine_app = typer.Typer(
    help="Files that were refused, and are kept: unreadable ones, and those that would take many rows away.",
    no_args_is_help=True,
)
app.add_typer(quarantine_app, name="quarantine")


@quarantine_app.command("list")
def quarantine_list(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each file.")] = False,
    config: Config = None,
) -> None:
    """List the files in quarantine: size, when and why refused, and whether it can be accepted.

    `held` says whether an older version of the session is held, which then stays in use.

    Exit codes: 0 listed, 5 the cache cannot be read.
    """
    from ingest.commands.quarantine import list_command

    raise typer.Exit(list_command(config, json))


@quarantine_app.command("show")
def quarantine_show(
    session: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], metavar="SESSION", help="Its date, YYYY-MM-DD.")],
    json: Json = False,
    config: Config = None,
) -> None:
    """Show one of them: where its bytes are, how its text begins, and which rows it would take away.

    Exit codes: 0 shown, 2 it is not in quarantine, 5 its bytes are gone or the cache cannot be read.
    """
    from ingest.commands.quarantine import show_command

    raise typer.Exit(show_command(session.date(), config, json))


@quarantine_app.command("retry")
def quarantine_retry(sessions: SomeSessions = None, config: Config = None) -> None:
    """Fetch them again, all or those named: what can be read now is applied.

    Exit codes: those of `ingest run`; 2 one of them is not in quarantine, 3 some are refused again.
    """
    from ingest.commands.quarantine import retry_command

    raise typer.Exit(retry_command([one.date() for one in sessions or []], config))


@quarantine_app.command("accept")
def quarantine_accept(sessions: Sessions, config: Config = None) -> None:
    """Apply the kept bytes of republished files though they take many rows away; nothing is fetched.

    Exit codes: 0 applied, 2 one is not in quarantine or cannot be read, and none is applied, 5 its bytes are gone or
    the cache cannot be written, 6 a run holds the cache.
    """
    from ingest.commands.quarantine import accept_command

    raise typer.Exit(accept_command([one.date() for one in sessions], config))


@app.command()
def demo(
    months: Annotated[
        int | None,
        typer.Option(min=1, max=24, help="Calendar months of generated data. (default: 2; of minutes a few days)"),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            "-d",
            metavar="NAME",
            autocompletion=datasets_beginning,
            help="Files of this dataset, such as options-day, crypto-minute. Repeatable. (default: stocks-day)",
        ),
    ] = None,
    folder: Annotated[Path, typer.Option("--dir", metavar="FOLDER", help="Where the demo's own cache goes.")] = Path(
        "cache/demo"
    ),
) -> None:
    """Try it without keys: a real S3 server on this machine, filled with generated files, and a run against it."""
    from ingest.commands.demo import demo_command

    raise typer.Exit(demo_command(months, dataset or (), folder))
