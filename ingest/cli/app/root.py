"""The program itself, its version, and the options of all commands."""

from typing import Annotated

import typer

from ingest.cli.app.options import Config
from ingest.cli.helping import Program

app = Program(
    name="ingest",
    help="Bulk ingestion of Massive.com daily flat files: each day is downloaded once and split into a CSV for every "
    "ticker that you track and a compressed archive of all others.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ingest {version('ingest')}")
        raise typer.Exit


def takes_config(config: Config = None) -> None:
    """Handle `--config` between a group and its command, which takes it from its context."""


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    config: Config = None,
) -> None:
    """Handle the options before a command; the command takes `config` from its context."""
