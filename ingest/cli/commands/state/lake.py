"""`ingest lake …`."""

from collections.abc import Sequence
from pathlib import Path

from ingest import settings
from ingest.cli.confirming import agreed
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import dataset_flag
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, size
from ingest.errors import UsageError
from ingest.events import LakeWritten
from ingest.hints import Option
from ingest.lake.state import LakeState, build_lake, drop_lake, lake_state
from ingest.maintenance.status import asked_or_held


def build_command(datasets: Sequence[str], config: Path | None, as_json: bool) -> int:
    """Bring the lake up to date, one dataset after another; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    console = Answers()
    for dataset in asked_or_held(datasets, chosen):
        done = build_lake(chosen, dataset) or LakeWritten(0, 0, 0, 0.0)
        if as_json:
            print_records("lake_written", [{"dataset": dataset.short, **fields_of(done)}])
        else:
            console.print(f"{dataset.short}: {_done(done)}")
    return 0


def _done(done: LakeWritten) -> str:
    if not (done.files or done.removed):
        return "up to date."
    removed = f", {counted(done.removed, 'file')} removed" if done.removed else ""
    return f"{counted(done.files, 'file')} written, {counted(done.rows, 'row')}{removed}, in {done.seconds:.1f} s."


def status_command(datasets: Sequence[str], config: Path | None, as_json: bool) -> int:
    """Print the state of the lake; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    states = [lake_state(chosen, dataset) for dataset in asked_or_held(datasets, chosen)]
    if as_json:
        print_records("lake", map(fields_of, states))
        return 0
    console = Answers()
    for state in states:
        for line in _lines(state, dataset_flag(state.dataset, chosen.run.datasets)):
            console.print(line)
    return 0


def _lines(state: LakeState, flag: str) -> Sequence[str]:
    if not state.files and not state.due:
        return [f"{state.dataset}: no session is stored."]
    if not state.files:
        return [f"{state.dataset}: no file. `ingest lake build{flag}` writes {counted(state.due, 'file')}."]
    span = f"{counted(state.sessions, 'session')} from {state.first} to {state.last}"
    lines = [
        f"{state.dataset}: {counted(state.files, 'file')}, {size(state.bytes)}, {counted(state.rows, 'row')}, {span}",
        f"  {state.pattern}",
    ]
    if state.due or state.unwanted:
        outdated = f"{counted(state.due, 'file')} of {counted(state.due_sessions, 'session')}"
        lines.append(f"  Outdated: {outdated}. `ingest lake build{flag}` brings the lake up to date.")
    return lines


def drop_command(datasets: Sequence[str], config: Path | None, yes: bool, as_json: bool) -> int:
    """Remove the lake once it is confirmed; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    kinds = asked_or_held(datasets, chosen)
    states = [lake_state(chosen, dataset) for dataset in kinds]
    files = sum(one.files for one in states)
    total = f"{counted(files, 'file')}, {size(sum(one.bytes for one in states))}"
    if files and not (yes or agreed(f"Remove {total}?")):
        raise UsageError("Nothing was removed", Option("yes", True, "to remove it"))
    removed = [(dataset, drop_lake(chosen, dataset)) for dataset in kinds]
    if as_json:
        print_records("lake_dropped", ({"dataset": dataset.short, "files": count} for dataset, count in removed))
    else:
        Answers().print(f"Removed {counted(sum(count for _, count in removed), 'file')}.")
    return 0
