"""The commands to start with."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ingest.cli.app.options import OUTPUT, Config, dataset_option
from ingest.cli.app.root import app
from ingest.cli.output import Deed


@app.command()
def init(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Where config.toml goes. (default: your own settings, used anywhere)"),
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="The working folder, in place of DIR.")] = False,
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The folder of the cache. (default: your data folder; in DIR: cache)"),
    ] = None,
    tickers: Annotated[
        list[str] | None,
        typer.Option(metavar="TICKER", help="A ticker to follow, for stocks.txt. Repeatable. (default: a sample)"),
    ] = None,
    list_file: Annotated[
        Path | None,
        typer.Option("--list", metavar="FILE", help="A list of yours to follow, where it is, in place of --tickers."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The section of ~/.aws/credentials with your keys. (default: massive)"),
    ] = None,
    keys: Annotated[
        Literal["profile", "environment"], typer.Option(metavar="profile|environment", help="Where your keys are.")
    ] = "profile",
    check: Annotated[bool, typer.Option("--check/--no-check", help="Run `ingest check` at the end.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be written; write nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: take flags, and defaults for the rest.")
    ] = False,
) -> None:
    """Write config.toml and a list of tickers, then check what a run needs.

    It asks for what the flags do not say, and never writes over anything.
    """
    from ingest.cli.commands.starting.init import Preferences, init_command
    from ingest.errors import UsageError

    if here and folder:
        raise UsageError("--here and DIR exclude each other")
    place = Path.cwd() if here else folder
    wanted = Preferences(
        folder=place,
        root=root,
        tickers=tuple(tickers or ()),
        list_file=list_file,
        profile=profile,
        from_environment=keys == "environment",
    )
    code = init_command(wanted, yes=yes, dry_run=dry_run, checks=check)
    raise typer.Exit(code if dry_run else Deed(code))


@app.command()
def adopt(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A mirror of the bucket (all of it, a dataset's folder or a year's), "
            "or a folder with another tool's massive_cache and data_cache.",
        ),
    ],
    dataset: Annotated[
        list[str] | None,
        dataset_option(
            "Only this dataset of a mirror; needed where DIR and its folders do not name one. Repeatable. "
            "(default: all that the folders name)"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be adopted; write nothing.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each file.")
    ] = False,
    config: Config = None,
) -> None:
    """Adopt files that another tool downloaded, so that they need not be downloaded again.

    A mirror is a tree as `aws s3 sync`, rclone or s5cmd leave it: us_stocks_sip/day_aggs_v1/2025/11/2025-11-11.csv.gz.
    Its files are checked and split like downloads. DIR is never changed, and is not needed afterwards.
    """
    from ingest.cli.commands.fetching.adopt import adopt_command

    code = adopt_command(folder, config, dry_run, json, dataset or ())
    raise typer.Exit(code if dry_run else Deed(code))


@app.command()
def demo(
    months: Annotated[
        int | None,
        typer.Option(min=1, max=24, help="Calendar months of generated data. (default: 2; for minute bars a few days)"),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        dataset_option("Files of this dataset, such as options-day, crypto-minute. Repeatable. (default: stocks-day)"),
    ] = None,
    folder: Annotated[Path, typer.Option("--dir", metavar="FOLDER", help="Where the demo's own cache goes.")] = Path(
        "cache/demo"
    ),
    objects: Annotated[
        bool, typer.Option("--objects", help="Store the parts in a bucket, show what lies where, and read it back.")
    ] = False,
    lake: Annotated[
        bool, typer.Option("--lake", help="Also keep all rows as Parquet files, and say how to query them.")
    ] = False,
    engine: Annotated[
        Literal["dask"] | None,
        typer.Option(metavar="dask", help="Download and split with two workers of a Dask cluster on this machine."),
    ] = None,
) -> None:
    """Try it without keys: run against a real S3 server on this machine with generated files."""
    from ingest.cli.commands.demo.command import demo_command

    raise typer.Exit(Deed(demo_command(months, dataset or (), folder, objects=objects, lake=lake, engine=engine)))
