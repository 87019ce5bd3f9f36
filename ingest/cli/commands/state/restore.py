"""`ingest restore`."""

from collections.abc import Iterator
from pathlib import Path

from ingest import events, settings
from ingest.cli.confirming import agreed
from ingest.cli.rendering import only_warnings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted
from ingest.errors import UsageError
from ingest.hints import Option
from ingest.maintenance.restore import Restorable, Restored, restorable, restore
from ingest.market.datasets import Dataset
from ingest.planning.request import Flags, request_of


def restore_command(config: Path | None, yes: bool, as_json: bool) -> int:
    """Take over an object store, and restore its cache here, if that is confirmed; returns the exit code.

    Raises IngestError.
    """
    chosen = settings.load(config)
    warnings = only_warnings(as_json)

    def tracked(dataset: Dataset) -> frozenset[str]:
        return request_of(Flags(), chosen, warnings.event, dataset).tracked

    def say(words: str) -> None:
        warnings.event(events.Notice(words, "warning"))

    _confirm(restorable(chosen), yes, as_json)
    done = restore(chosen, tracked, say)
    if as_json:
        print_records("restored", [fields_of(done)])
    else:
        for line in _told(done):
            Answers().print(line)
    return 0


def _confirm(found: Restorable, yes: bool, as_json: bool) -> None:
    """Raise UsageError unless the user has agreed, or does so now."""
    words = " ".join(_described(found))
    if yes and not as_json:
        Answers().print(words)
    if not (yes or agreed(f"{words} Take it over?")):
        raise UsageError(f"{words} Nothing was changed", Option("yes", True, "to take it over"))


def _described(found: Restorable) -> Iterator[str]:
    if found.since:
        yield f"{found.archive} belongs to the cache of {found.host}, which has written to it since {found.since}."
    else:
        yield f"{found.archive} does not say whose it is."
    made = f", the newest of {found.at}" if found.at and found.snapshots else ""
    yield f"It has {counted(found.snapshots, 'snapshot')} of the manifest{made}."
    yield "Once this machine has taken it over, no other one writes to it."


def _told(done: Restored) -> Iterator[str]:
    newer = f", {done.newer:,} of them from their parts alone" if done.newer else ""
    yield f"{counted(done.sessions, 'session')} restored{newer}. This machine writes to {done.archive} now."
    if done.missing:
        yield f"A part is missing of {counted(done.missing, 'session')}: the next `ingest run` downloads them again."
    if done.refused:
        files = counted(done.refused, "refused file")
        yield f"The bytes of {files} were on the other machine: `ingest quarantine retry` requests them again."
