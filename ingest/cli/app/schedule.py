"""`ingest schedule …`."""

from typing import Annotated

import typer

from ingest.cli.app import completing
from ingest.cli.app.options import Config, Datasets, Json
from ingest.cli.app.root import app, takes_config
from ingest.cli.helping import Program
from ingest.cli.output import Deed

schedule_app = Program(
    help="Run every day, by systemd, launchd, Windows' Task Scheduler or cron, as the platform has it.",
    no_args_is_help=True,
    callback=takes_config,
)
app.add_typer(schedule_app, name="schedule")

Kind = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        autocompletion=completing.words_of(("systemd", "launchd", "windows", "cron")),
        help="How to schedule: systemd, launchd, windows or cron. (default: as the platform has it)",
    ),
]
Time = Annotated[str, typer.Option(metavar="HH:MM", help="When to begin, in UTC.")]
Wait = Annotated[str, typer.Option(metavar="TIME", help="How long the run waits for the newest file: 90m, 6h, 1d.")]
Name = Annotated[str, typer.Option(metavar="NAME", help="What it is called; several schedules need several names.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done; do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


@schedule_app.command("show")
def schedule_show(
    kind: Kind = None,
    time: Time = "06:00",
    wait: Wait = "6h",
    dataset: Datasets = None,
    name: Name = "ingest",
    json: Json = False,
    config: Config = None,
) -> None:
    """Show exactly what `install` would write and run, and whether that has been done."""
    from ingest.cli.commands.starting.schedule import kind_of, show_command
    from ingest.cli.schedule.job import job_of

    way = kind_of(kind)
    job = job_of(name, time, wait, dataset or [], config, quiet=way == "cron")
    raise typer.Exit(show_command(way, job, json))


@schedule_app.command("install")
def schedule_install(
    kind: Kind = None,
    time: Time = "06:00",
    wait: Wait = "6h",
    dataset: Datasets = None,
    name: Name = "ingest",
    dry_run: DryRun = False,
    yes: Yes = False,
    config: Config = None,
) -> None:
    """Schedule a run for every day, with the settings that hold now.

    It shows what it will write and run, and asks. An earlier schedule of that name is replaced, but nothing that it did
    not write itself.
    """
    from ingest.cli.commands.starting.schedule import install_command, kind_of
    from ingest.cli.schedule.job import job_of

    way = kind_of(kind)
    job = job_of(name, time, wait, dataset or [], config, quiet=way == "cron")
    code = install_command(way, job, dry_run, yes)
    raise typer.Exit(code if dry_run else Deed(code))


@schedule_app.command("remove")
def schedule_remove(
    kind: Kind = None,
    name: Name = "ingest",
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Remove a schedule that `install` made; nothing else."""
    from ingest.cli.commands.starting.schedule import kind_of, remove_command

    code = remove_command(kind_of(kind), name, dry_run, yes)
    raise typer.Exit(code if dry_run else Deed(code))
