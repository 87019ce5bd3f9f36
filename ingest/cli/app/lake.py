"""`ingest lake …`."""

from typing import Annotated

import typer

from ingest.cli.app.options import OUTPUT, Config, Datasets
from ingest.cli.app.root import app, takes_config
from ingest.cli.helping import Program
from ingest.cli.output import Deed

lake_app = Program(
    help="Parquet files of all that is stored, for DuckDB, polars, pandas, Spark and others.",
    no_args_is_help=True,
    callback=takes_config,
)
app.add_typer(lake_app, name="lake")

_Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each dataset.")
]


@lake_app.command("build")
def lake_build(dataset: Datasets = None, json: _Json = False, config: Config = None) -> None:
    """Write the files that are missing or outdated, from the stored parts. Nothing is downloaded.

    Without --dataset it covers the datasets of the settings, and all others with stored sessions.
    """
    from ingest.cli.commands.state.lake import build_command

    raise typer.Exit(Deed(build_command(dataset or [], config, json)))


@lake_app.command("status")
def lake_status(dataset: Datasets = None, json: _Json = False, config: Config = None) -> None:
    """Show which files there are, where, and what is outdated.

    Without --dataset it covers the datasets of the settings, and all others with stored sessions.
    """
    from ingest.cli.commands.state.lake import status_command

    raise typer.Exit(status_command(dataset or [], config, json))


@lake_app.command("drop")
def lake_drop(
    dataset: Datasets = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    json: _Json = False,
    config: Config = None,
) -> None:
    """Remove the files of the lake. `ingest lake build` writes them again.

    Without --dataset it covers the datasets of the settings, and all others with stored sessions.
    """
    from ingest.cli.commands.state.lake import drop_command

    raise typer.Exit(Deed(drop_command(dataset or [], config, yes, json)))
