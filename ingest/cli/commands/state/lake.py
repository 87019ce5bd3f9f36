"""`ingest lake …`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ingest import settings
from ingest.cli.confirming import agreed
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import dataset_flag
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, size
from ingest.cli.warnings import warnings_told
from ingest.errors import UsageError
from ingest.events import LakeWritten, TableWritten
from ingest.hints import Option
from ingest.lake.iceberg.state import SnapshotState
from ingest.lake.state import LakeState, build_lake, drop_lake, has_table, lake_snapshots, lake_state, lakes_left
from ingest.maintenance.absence import warn_if_none_stored
from ingest.maintenance.status import asked_or_held
from ingest.market.catalogue import named
from ingest.market.datasets import Dataset
from ingest.settings import Settings


def build_command(datasets: Sequence[str], config: Path | None, as_json: bool) -> int:
    """Bring the lake up to date, one dataset after another; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    console = Answers()
    for dataset in _asked_or_left(datasets, chosen):
        found = build_lake(chosen, dataset)
        is_empty = _is_empty(chosen, dataset, as_json)
        done = next((one for one in found if isinstance(one, LakeWritten)), LakeWritten(0, 0, 0, 0.0))
        if as_json:
            print_records("lake_written", [{"dataset": dataset.short, **fields_of(done)}])
        elif done.removed or not is_empty:
            console.print(f"{dataset.short}: {_done(done)}")
            if done.notice:
                console.print(f"  {done.notice}.")
        for table in (one for one in found if isinstance(one, TableWritten)):
            if as_json:
                print_records("table_written", [{"dataset": dataset.short, **fields_of(table)}])
            else:
                console.print(f"  {_table(table)}")
    return 0


def _asked_or_left(names: Sequence[str], chosen: Settings) -> Sequence[Dataset]:
    """The datasets of these names; without any, also those whose sessions are all gone, while their lake is there."""
    found = asked_or_held(names, chosen)
    return found if names else (*found, *(one for one in lakes_left(chosen) if one not in found))


def _is_empty(chosen: Settings, dataset: Dataset, as_json: bool) -> bool:
    """Whether no session of a dataset is stored, which is then said."""
    with warnings_told(as_json):
        return warn_if_none_stored(chosen, dataset)


def _done(done: LakeWritten) -> str:
    if not (done.files or done.removed):
        return "up to date."
    removed = f", {counted(done.removed, 'file')} removed" if done.removed else ""
    return f"{counted(done.files, 'file')} written, {counted(done.rows, 'row')}{removed}, in {done.seconds:.1f} s."


def _table(done: TableWritten) -> str:
    told = [f"the table {done.table}"]
    if done.notice:
        told.append(done.notice)
    if done.snapshot:
        told.append(f"snapshot {done.snapshot}, {counted(done.sessions, 'session')} changed, in {done.seconds:.1f} s")
    return f"{': '.join(told)}."


def status_command(datasets: Sequence[str], config: Path | None, as_json: bool) -> int:
    """Print the state of the lake; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    kinds = _asked_or_left(datasets, chosen)
    with warnings_told(as_json):
        states = [lake_state(chosen, dataset) for dataset in kinds]
    empty = {dataset.short for dataset in kinds if _is_empty(chosen, dataset, as_json)}
    if as_json:
        print_records("lake", map(fields_of, states))
        return 0
    console = Answers()
    for state in (one for one in states if one.dataset not in empty or one.table or one.unwanted):
        for line in _lines(state, dataset_flag(state.dataset, chosen.run.datasets)):
            console.print(line)
    if not chosen.lake.enabled and any(one.files for one in states):
        console.print("[lake] enabled is false: only `ingest lake build` and `ingest run --lake` write these files.")
    return 0


def _lines(state: LakeState, flag: str) -> Iterator[str]:
    yield from _lines_of_files(state, flag)
    if state.unwanted:
        gone = f"{counted(state.unwanted, 'file')} of sessions that are not stored any more"
        yield f"  Left: {gone}. `ingest lake build{flag}` removes what is left."
    if state.table:
        told = f"{counted(state.snapshots, 'snapshot')}, the newest is {state.snapshot or 'none'}"
        yield f"  table {state.table} of the catalog {state.catalog}: {told}"
        yield f"  {state.metadata}"


def _lines_of_files(state: LakeState, flag: str) -> Iterator[str]:
    if not state.files:
        build = f" `ingest lake build{flag}` writes {counted(state.due, 'file')}." if state.due else ""
        yield f"{state.dataset}: no file{'' if build else ' of a stored session'}.{build}"
        return
    span = f"{counted(state.sessions, 'session')} from {state.first} to {state.last}"
    yield f"{state.dataset}: {counted(state.files, 'file')}, {size(state.bytes)}, {counted(state.rows, 'row')}, {span}"
    yield f"  {state.pattern}"
    if state.due:
        outdated = f"{counted(state.due, 'file')} of {counted(state.due_sessions, 'session')}"
        yield f"  Outdated: {outdated}. `ingest lake build{flag}` brings the lake up to date."


def snapshots_command(datasets: Sequence[str], config: Path | None, as_json: bool) -> int:
    """Print the snapshots of the tables; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    kinds = _asked_or_left(datasets, chosen)
    found = [(dataset, lake_snapshots(chosen, dataset)) for dataset in kinds]
    empty = {dataset for dataset in kinds if _is_empty(chosen, dataset, as_json)}
    if as_json:
        for dataset, some in found:
            print_records("lake_snapshot", ({"dataset": dataset.short, **fields_of(one)} for one in some))
        return 0
    console = Answers()
    for dataset, some in found:
        console.print(f"{dataset.short}: {counted(len(some), 'snapshot')}{f' of {some[0].table}' if some else ''}")
        if chosen.lake.iceberg and not some and dataset not in empty:
            console.print(f"  `ingest lake build{dataset_flag(dataset.short, chosen.run.datasets)}` makes the first.")
        for one in some:
            console.print(f"  {_snapshot(one)}")
    if not (chosen.lake.iceberg or any(some for _, some in found)):
        console.print("[lake] iceberg is false: no run makes a snapshot.")
    return 0


def _snapshot(one: SnapshotState) -> str:
    span = str(one.first) if one.first == one.last else f"{one.first} to {one.last}"
    what = "made by another program" if one.sessions is None else f"{counted(one.sessions, 'session')} changed"
    changed = f"{what} ({span})" if one.first else what
    newest = ", the newest" if one.newest else ""
    return f"{one.snapshot}  {one.made:%Y-%m-%d %H:%M:%S} UTC  {changed}, {counted(one.rows, 'row')} in all{newest}"


def _irreplaceable(states: Sequence[LakeState], chosen: Settings) -> str:
    """What nothing can make again, in words: the snapshots, or the tables if Iceberg is off; "" if there is none."""
    if snapshots := sum(one.snapshots for one in states):
        return counted(snapshots, "snapshot")
    tables = sum(has_table(chosen, named(one.dataset)) for one in states)
    return f"{counted(tables, 'table')} of Iceberg" if tables else ""


def drop_command(datasets: Sequence[str], config: Path | None, yes: bool, as_json: bool) -> int:
    """Remove the lake once it is confirmed; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    kinds = _asked_or_left(datasets, chosen)
    with warnings_told(as_json):
        states = [lake_state(chosen, dataset) for dataset in kinds]
    files = sum(one.files + one.unwanted for one in states)
    lost = _irreplaceable(states, chosen)
    total = f"{counted(files, 'file')}, {size(sum(one.bytes for one in states))}"
    total += f", and {lost}" if lost else ""
    if (files or lost) and not (yes or agreed(f"Remove {total}?")):
        raise UsageError("Nothing was removed", Option("yes", True, "to remove it"))
    removed = [(dataset, drop_lake(chosen, dataset)) for dataset in kinds]
    for dataset in (dataset for dataset, count in removed if not count):
        _is_empty(chosen, dataset, as_json)
    if as_json:
        print_records("lake_dropped", ({"dataset": dataset.short, "files": count} for dataset, count in removed))
    else:
        again = " [lake] enabled is true: the next run writes them again." if files and chosen.lake.enabled else ""
        Answers().print(f"Removed {counted(sum(count for _, count in removed), 'file')}.{again}")
    return 0
