"""`ingest config …`."""

import typer

from ingest.cli.app.options import Config, Json
from ingest.cli.app.root import app, takes_config
from ingest.cli.helping import Program

config_app = Program(help="Show the settings and where they come from.", no_args_is_help=True, callback=takes_config)
app.add_typer(config_app, name="config")


@config_app.command("show")
def config_show(json: Json = False, config: Config = None) -> None:
    """Print each setting, its value, and whether it comes from a flag, the environment, a file or the default."""
    from ingest.cli.commands.starting.config import show_command

    raise typer.Exit(show_command(config, json))


@config_app.command("path")
def config_path(config: Config = None) -> None:
    """Print the file that the settings are read from."""
    from ingest.cli.commands.starting.config import path_command

    raise typer.Exit(path_command(config))
