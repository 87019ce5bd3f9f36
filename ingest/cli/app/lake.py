"""`ingest lake …` and `ingest sql`."""

from pathlib import Path
from typing import Annotated

import typer

from ingest.cli.app.options import OUTPUT, Config, HeldDatasets
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
def lake_build(dataset: HeldDatasets = None, json: _Json = False, config: Config = None) -> None:
    """Write the files that are missing or outdated, from the stored parts, and tables. Nothing is downloaded."""
    from ingest.cli.commands.state.lake import build_command

    raise typer.Exit(Deed(build_command(dataset or [], config, json)))


@lake_app.command("status")
def lake_status(dataset: HeldDatasets = None, json: _Json = False, config: Config = None) -> None:
    """Show which files and tables there are, where, and what is outdated."""
    from ingest.cli.commands.state.lake import status_command

    raise typer.Exit(status_command(dataset or [], config, json))


@lake_app.command("snapshots")
def lake_snapshots(dataset: HeldDatasets = None, json: _Json = False, config: Config = None) -> None:
    """Show the snapshots of the tables of Iceberg, oldest first: any of them can be queried."""
    from ingest.cli.commands.state.lake import snapshots_command

    raise typer.Exit(snapshots_command(dataset or [], config, json))


@lake_app.command("drop")
def lake_drop(
    dataset: HeldDatasets = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    json: _Json = False,
    config: Config = None,
) -> None:
    """Remove the files of the lake and its tables. `ingest lake build` writes them again, without earlier snapshots."""
    from ingest.cli.commands.state.lake import drop_command

    raise typer.Exit(Deed(drop_command(dataset or [], config, yes, json)))


@app.command("sql")
def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="[QUERY]", help="A query in DuckDB's SQL. (default: read it from stdin; on a terminal, a prompt)"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            rich_help_panel=OUTPUT,
            help="Print the first N rows; 0: all. (default: 1000 in a table on a terminal, else all)",
        ),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", rich_help_panel=OUTPUT, help="Print CSV.")] = False,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each row.")
    ] = False,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", metavar="FILE", rich_help_panel=OUTPUT, help="Write a Parquet file; it is replaced."),
    ] = None,
    config: Config = None,
) -> None:
    """Ask all that is stored a question in SQL. Nothing stored is changed.

    There is a view for each dataset, such as stocks_day; "show tables" lists them, "describe stocks_day" its columns.
    """
    from ingest.cli.commands.reading.sql import Printing, sql_command

    raise typer.Exit(sql_command(query, Printing(limit, csv, json, parquet), config))
