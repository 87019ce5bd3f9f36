"""`ingest track …`."""

from pathlib import Path
from typing import Annotated

import typer

from ingest.cli.app import completing
from ingest.cli.app.options import Config, DatasetOfTicker, Datasets, Json, ListFile, Tickers
from ingest.cli.app.root import app, takes_config
from ingest.cli.helping import Program
from ingest.cli.output import Deed

track_app = Program(help="The tickers that get a CSV of their own.", no_args_is_help=True, callback=takes_config)
app.add_typer(track_app, name="track")

Many = Annotated[bool, typer.Option("--yes", help="Add patterns that match very many tickers without asking.")]


@track_app.command("add")
def track_add(
    tickers: Tickers,
    dataset: DatasetOfTicker = None,
    list_file: ListFile = None,
    yes: Many = False,
    config: Config = None,
) -> None:
    """Add tickers, patterns ("X:*-USD", O:SPY) or @top:500 to a list; their CSVs are made from what is stored."""
    from ingest.cli.commands.track import add_command

    raise typer.Exit(Deed(add_command(dataset, tickers, list_file, config, yes)))


@track_app.command("remove")
def track_remove(
    tickers: Annotated[
        list[str],
        typer.Argument(
            metavar="TICKER…", autocompletion=completing.followed, help="Tickers and patterns, as the list has them."
        ),
    ],
    dataset: DatasetOfTicker = None,
    list_file: ListFile = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete their CSVs, too, unless another name of a list covers them.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be removed; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    config: Config = None,
) -> None:
    """Remove tickers from a list; their CSVs stay, and their new rows go to the archive."""
    from ingest.cli.commands.track import Deletion, remove_command

    deletion = Deletion(delete, yes=yes, dry_run=dry_run)
    code = remove_command(dataset, tickers, list_file, config, deletion)
    raise typer.Exit(code if dry_run else Deed(code))


@track_app.command("list")
def track_list(dataset: Datasets = None, json: Json = False, config: Config = None) -> None:
    """Show the tracked tickers, how far their history reaches, and what is missing."""
    from ingest.cli.commands.track import list_command

    raise typer.Exit(list_command(dataset or [], json, config))


@track_app.command("import")
def track_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list of tickers, one per line; # starts a comment.")],
    dataset: DatasetOfTicker = None,
    list_file: ListFile = None,
    yes: Many = False,
    config: Config = None,
) -> None:
    """Add all tickers of another file to a list."""
    from ingest.cli.commands.track import import_command

    raise typer.Exit(Deed(import_command(dataset, file, list_file, config, yes)))
