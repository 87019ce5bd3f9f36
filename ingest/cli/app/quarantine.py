"""`ingest quarantine …`."""

from datetime import datetime
from typing import Annotated

import typer

from ingest.cli.app.completing import refused
from ingest.cli.app.options import OUTPUT, Config, Dataset, HeldDatasets, Json, Sessions, SomeSessions
from ingest.cli.app.root import app, takes_config
from ingest.cli.helping import Program
from ingest.cli.output import Deed

quarantine_app = Program(
    help="Files that were refused and kept: unreadable ones, and those that would remove many rows.",
    no_args_is_help=True,
    callback=takes_config,
)
app.add_typer(quarantine_app, name="quarantine")


@quarantine_app.command("list")
def quarantine_list(
    dataset: HeldDatasets = None,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each file.")
    ] = False,
    config: Config = None,
) -> None:
    """List the files in quarantine: size, when and why refused, and whether it can be accepted.

    `held` says whether an older version is stored; it then stays in use.
    """
    from ingest.cli.commands.state.quarantine import list_command

    raise typer.Exit(list_command(dataset or [], config, json))


@quarantine_app.command("show")
def quarantine_show(
    session: Annotated[
        datetime,
        typer.Argument(formats=["%Y-%m-%d"], metavar="SESSION", autocompletion=refused, help="Its date, YYYY-MM-DD."),
    ],
    dataset: Dataset = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show one file: where its bytes are, how it begins, which lines cannot be read or which rows it would remove."""
    from ingest.cli.commands.state.quarantine import show_command

    raise typer.Exit(show_command(dataset, session.date(), config, json))


@quarantine_app.command("retry")
def quarantine_retry(sessions: SomeSessions = None, dataset: Dataset = None, config: Config = None) -> None:
    """Download them again, those named or all that are not dismissed, and apply what can be read now."""
    from ingest.cli.commands.state.quarantine import retry_command

    raise typer.Exit(Deed(retry_command(dataset, [one.date() for one in sessions or []], config)))


@quarantine_app.command("dismiss")
def quarantine_dismiss(
    sessions: Sessions,
    undo: Annotated[bool, typer.Option("--undo", help="Count them again, as if they had not been dismissed.")] = False,
    dataset: Dataset = None,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each file.")
    ] = False,
    config: Config = None,
) -> None:
    """Keep these files, and no longer end a run with 3 for them; another version that is refused is new.

    `quarantine retry SESSION` undoes it, too.
    """
    from ingest.cli.commands.state.quarantine import dismiss_command

    days = [one.date() for one in sessions]
    raise typer.Exit(Deed(dismiss_command(dataset, days, config, undo, json)))


@quarantine_app.command("accept")
def quarantine_accept(
    sessions: Sessions,
    without_bad_rows: Annotated[
        bool,
        typer.Option(
            "--without-bad-rows",
            help="Also apply files with rows that cannot be read, a tenth at most, without these rows. "
            "The file stays in quarantine, dismissed.",
        ),
    ] = False,
    dataset: Dataset = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Apply the kept bytes of republished files although they remove many rows; nothing is downloaded."""
    from ingest.cli.commands.state.quarantine import accept_command

    days = [one.date() for one in sessions]
    raise typer.Exit(Deed(accept_command(dataset, days, config, without_bad_rows, json)))
