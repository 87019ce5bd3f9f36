"""The commands. Only signatures and help live here: what a command needs is imported when it is called."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

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
Months = Annotated[int | None, typer.Option(min=1, max=1200, help="Calendar months back from today. [default: 24]")]
Start = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="First day, in place of --months."),
]
End = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Last day, inclusive. [default: today]"),
]
AllPermitted = Annotated[bool, typer.Option("--all-permitted", help="All that your plan allows, in place of --months.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


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
        typer.Option("--save-others/--no-save-others", help="Keep the tickers you don't track, too. [default: keep]"),
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
def demo(
    months: Annotated[int, typer.Option(min=1, max=24, help="Calendar months of generated data.")] = 2,
    folder: Annotated[Path, typer.Option("--dir", metavar="FOLDER", help="Where the demo's own cache goes.")] = Path(
        "cache/demo"
    ),
) -> None:
    """Try it without keys: a real S3 server on this machine, filled with generated files, and a run against it."""
    from ingest.commands.demo import demo_command

    raise typer.Exit(demo_command(months, folder))
