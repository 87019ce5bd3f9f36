"""`ingest schedule show`, `install` and `remove`."""

import shlex
import sys
from collections.abc import Iterable

from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import flag_named
from ingest.cli.rendering.records import print_records
from ingest.cli.rendering.words import counted
from ingest.cli.schedule.job import checked_name, is_for_now, left_behind
from ingest.cli.schedule.kinds import (
    KINDS,
    default_kind,
    find_program,
    refuse_others,
    run,
    standing,
    steps_to_install,
    steps_to_remove,
)
from ingest.cli.schedule.steps import Command, Job, NotScheduled, Steps, removal_of
from ingest.errors import UsageError
from ingest.files import durable

_STANDING = {
    "foreign": "Something of that name is there that `ingest schedule` did not write, and stays; --name names another.",
    "yes": "This is installed.",
    "no": "Not installed; `ingest schedule install` with the same flags does it.",
    "otherwise": "Something else is installed; `ingest schedule install` with the same flags replaces it with this.",
}


def kind_of(kind: str | None) -> str:
    """The way to schedule: the one named, or that of this platform. Raises UsageError."""
    if kind is not None and kind not in KINDS:
        raise UsageError(f"{flag_named('kind')} {kind!r}: must be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    return kind or default_kind()


def show_command(kind: str, job: Job, as_json: bool) -> int:
    """Print what would be written and run, and whether it has been; returns the exit code. Raises IngestError."""
    steps = steps_to_install(kind, job)
    state = _standing(kind, job, steps)
    if as_json:
        print_records("schedule", [_as_json(kind, job, steps, state)])
    else:
        _show(steps, [*steps.notes, *_notes()])
        sys.stdout.write(f"\n{_STANDING[state]}\n")
    return 0


def _standing(kind: str, job: Job, steps: Steps) -> str:
    try:
        refuse_others(kind, job.name, steps)
    except UsageError:
        return "foreign"
    return standing(kind, steps)


def install_command(kind: str, job: Job, dry_run: bool, confirmed: bool) -> int:
    """Show the steps, ask, and do them; returns the exit code. Raises IngestError."""
    steps = steps_to_install(kind, job)
    refuse_others(kind, job.name, steps)
    _show(steps, [*steps.notes, *_notes()])
    if dry_run or not _agreed("Install it?", confirmed):
        return 0
    try:
        _do(steps)
    except NotScheduled as error:
        left = f"; what was written stays: `{_removal(kind, job.name)}` removes it" if steps.files else ""
        raise NotScheduled(f"{error.message}{left}") from error
    sys.stdout.write(f"Installed. `{_removal(kind, job.name)}` removes it.\n")
    return 0


def _removal(kind: str, name: str) -> str:
    """The command that removes this schedule and no other."""
    return removal_of(name) + ("" if kind == default_kind() else f" --kind {kind}")


def remove_command(kind: str, name: str, dry_run: bool, confirmed: bool) -> int:
    """Show what would be removed, ask, and remove it; returns the exit code. Raises IngestError."""
    name = checked_name(name)
    steps = steps_to_remove(kind, name)
    if steps is None:
        sys.stdout.write(f"Nothing is scheduled as {name} by {kind}.\n")
        return 0
    _show(steps, steps.notes)
    if dry_run or not _agreed("Remove it?", confirmed):
        return 0
    _do(steps)
    sys.stdout.write("Removed.\n")
    return 0


def _do(steps: Steps) -> None:
    """Do the steps in their order; if a program is missing, nothing is done."""
    for command in (*steps.before, *steps.after):
        find_program(command)
    for command in steps.before:
        run(command)
    for path, data in steps.files.items():
        if data is None:
            durable.remove(path)
        else:
            durable.make_folder(path.parent)
            durable.replace(path, data)
    for command in steps.after:
        run(command)


def _agreed(question: str, confirmed: bool) -> bool:
    """Whether the user agrees. Raises UsageError if there is nobody to ask."""
    if confirmed:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nothing was done: nobody can be asked without a terminal; --yes confirms")
    import typer

    return typer.confirm(question)


def _show(steps: Steps, notes: Iterable[str]) -> None:
    for path, data in steps.files.items():
        sys.stdout.write(f"remove {path}\n" if data is None else f"# {path}\n{_text(data)}\n")
    if steps.shown:
        sys.stdout.write(f"# a line of the crontab\n{steps.shown}\n\n")
    sys.stdout.writelines(f"run {shlex.join(one.words)}{_given(one)}\n" for one in (*steps.before, *steps.after))
    for note in notes:
        Answers().print(f"note: {note}.")


def _given(command: Command) -> str:
    lines = counted(command.given.count(b"\n"), "line")
    return f", with {lines} for the new crontab" if command.words[-1] == "-" else ""


def _text(data: bytes) -> str:
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")


def _notes() -> list[str]:
    names = left_behind()
    told = "put settings into config.toml and keys into ~/.aws/credentials"
    notes = [f"The run does not get this shell's {', '.join(names)}: {told}"] if names else []
    if is_for_now():
        notes.append(f"{sys.prefix} may be removed at any time, and the program with it: install it first")
    return notes


def _as_json(kind: str, job: Job, steps: Steps, state: str) -> dict[str, object]:
    return {
        "scheduler": kind,
        "name": job.name,
        "installed": state,
        "command": list(job.command),
        "folder": job.folder,
        "files": [{"path": str(path), "text": _text(data)} for path, data in steps.files.items() if data is not None],
        "line": steps.shown or None,
        "commands": [list(one.words) for one in (*steps.before, *steps.after)],
        "notes": [*steps.notes, *_notes()],
    }
