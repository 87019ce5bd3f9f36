"""`ingest verify`."""

import sys
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path

from ingest import settings
from ingest.cli.commands.fetching.run import execute
from ingest.cli.rendering import choose_rendering, only_warnings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, heading, size
from ingest.cli.warnings import tell_error, warnings_told
from ingest.errors import CacheError, SourceError, printable
from ingest.maintenance.absence import warn_if_none_stored
from ingest.maintenance.repair import repair
from ingest.maintenance.status import asked_or_held
from ingest.maintenance.verify import Verified, verify
from ingest.market.datasets import Dataset
from ingest.market.windows import Window
from ingest.planning.request import Flags, Request, datasets_asked, request_of
from ingest.settings import Settings

BROKEN = 3
_SHOWN = 20
"""Problems of one kind that are printed; --json has all."""


def verify_command(datasets: Sequence[str], config: Path | None, deep: bool, mend: bool, as_json: bool) -> int:
    """Print what is wrong with the cache, and repair it on request; returns the exit code.

    An error in one dataset does not stop the others. Raises IngestError.
    """
    chosen = settings.load(config)
    kinds = _looked_at(datasets, chosen)
    codes = []
    for kind in kinds:
        if not as_json and (words := heading(kind, kinds)):
            sys.stdout.write(f"{words}\n")
        try:
            codes.append(_verify(chosen, kind, deep, mend, as_json))
        except (CacheError, SourceError) as error:  # verify the other datasets all the same
            tell_error(error, as_json, kind.short if len(kinds) > 1 else "")
            codes.append(error.exit_code)
    return max(codes)


def _looked_at(names: Sequence[str], chosen: Settings) -> tuple[Dataset, ...]:
    """The datasets named, or all held; those of the settings if the manifest, which is to be verified, does not say."""
    try:
        return asked_or_held(names, chosen)
    except CacheError:
        return datasets_asked(names, chosen)


def _verify(chosen: Settings, dataset: Dataset, deep: bool, mend: bool, as_json: bool) -> int:
    deeds = _mend(chosen, dataset, deep, as_json) if mend else []
    found = verify(chosen, deep, dataset)
    with warnings_told(as_json):
        is_empty = not (found.sessions or found.broken) and warn_if_none_stored(chosen, dataset)
    if as_json:
        done = {"ok": not found.broken} | ({"deeds": deeds} if mend else {})
        print_records("verification", [{"dataset": dataset.name} | fields_of(found) | done])
    else:
        _show(Answers(), found, mend, is_empty)
    return BROKEN if found.broken else 0


def _mend(chosen: Settings, dataset: Dataset, deep: bool, as_json: bool) -> list[str]:
    """Repair, then download the sessions that need it again; returns what was done, in words."""
    deeds: list[str] = []

    def say(words: str) -> None:
        deeds.append(words)
        if not as_json:
            sys.stdout.write(f"{printable(words)}\n")

    request = request_of(Flags(), chosen, only_warnings(as_json).event, dataset)
    if lost := repair(chosen, request, deep, say):
        say(_fetched(chosen, request, lost, as_json))
    return deeds


def _fetched(chosen: Settings, request: Request, lost: Collection[date], as_json: bool) -> str:
    wanted = replace(request, window=Window(min(lost), max(lost)), only=frozenset(lost))
    told = nullcontext(only_warnings(json=True)) if as_json else choose_rendering(json=False, quiet=False)
    with told as rendering:
        code = execute(chosen, wanted, rendering)
    return f"{counted(len(lost), 'session')} downloaded again: {'all succeeded' if code == 0 else 'some failed'}"


def _show(console: Answers, found: Verified, mended: bool, is_empty: bool) -> None:
    read = counted(found.files - found.listed, "part")
    told = f", {found.listed:,} compared with the store's listing" if found.listed else ""
    more = "reads and unpacks all" if told else "also unpacks them"
    how = "all parts unpacked, all CSVs rebuilt" if found.deep else f"`--deep` {more}"
    console.print(
        f"{counted(found.sessions, 'session')} of {found.rows:,} rows: {read} read"
        f"{told}, {size(found.bytes)} ({how}); {counted(found.csvs, 'tracked CSV')}.",
    )
    _show_problems(console, found)
    for note in found.notes:
        console.print(f"note: {note}")
    if is_empty:
        return
    if not found.broken:
        console.print("Nothing is missing or damaged.")
    elif mended:
        console.print("What is still listed could not be repaired; see the reasons.", style="yellow")
    else:
        console.print("`ingest verify --repair` repairs this from the parts and downloads the rest.", style="yellow")


def _show_problems(console: Answers, found: Verified) -> None:
    rows, shown = [], Counter[str]()
    for one in found.problems:
        shown[one.kind] += 1
        if shown[one.kind] <= _SHOWN:
            rows.append((one.kind, one.what, one.reason))
    console.print_table(("problem", "what", "why"), rows, prose=True)
    for kind, count in shown.items():
        if count > _SHOWN:
            console.print(f"… and {count - _SHOWN:,} more of kind {kind} (--json lists them)")
