"""`ingest corrections`."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

from ingest import settings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.records import print_records
from ingest.cli.rendering.words import counted, heading, minute
from ingest.cli.warnings import warnings_told
from ingest.errors import printable
from ingest.maintenance.absence import warn_of_nothing
from ingest.maintenance.corrections import changed_values
from ingest.maintenance.status import asked_or_held
from ingest.splitting.diff import Change

_SHOWN = 200
_WIDE = 200


def corrections_command(
    datasets: Sequence[str],
    ticker: str | None,
    start: date | None,
    end: date | None,
    config: Path | None,
    *,
    as_json: bool,
) -> int:
    """Print what republished files changed; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    kinds = asked_or_held(datasets, chosen)
    for kind in kinds:
        found, are_any = _noticed(changed_values(chosen, ticker, start, end, kind))
        if as_json:
            print_records("correction", ({"dataset": kind.name, **_plain(change)} for change in found))
        else:
            _show(Answers(), heading(kind, kinds), found)
        with warnings_told(as_json):
            if not are_any:
                warn_of_nothing(chosen, kind, start, end, ticker)
    return 0


def _noticed(found: Iterator[Change]) -> tuple[Iterator[Change], bool]:
    """The same changes, and whether there is any."""
    first = next(found, None)
    return (found if first is None else chain([first], found)), first is not None


def _plain(change: Change) -> dict[str, Any]:
    return {
        "date": change.session,
        "ticker": change.ticker or None,
        "column": change.column,
        "old": change.old,
        "new": change.new,
        "how": change.kind,
        "at": change.at,
    }


def _show(console: Answers, heading: str, found: Iterable[Change]) -> None:
    if heading:
        console.print(heading)
    last, count, sessions = deque[Change](maxlen=_SHOWN), 0, set[date]()
    for count, change in enumerate(found, 1):  # noqa: B007 - the last number is the count
        last.append(change)
        sessions.add(change.session)
    if not last:
        console.print("No corrections found.")
        return
    console.print_table(
        ("date", "ticker", "column", "old", "new", "applied (UTC)", "how"), map(_cells, last), prose=True
    )
    left = f", of which the last {_SHOWN} are shown (--json has all)" if count > _SHOWN else ""
    console.print(f"{counted(count, 'change')} in {counted(len(sessions), 'session')}{left}.")


def _short(text: str) -> str:
    """A value; a file's whole line is shortened, and says so."""
    shown = printable(text)
    return shown if len(shown) <= _WIDE else f"{shown[:_WIDE]}…"


def _cells(change: Change) -> tuple[str, ...]:
    stamp = minute(change.at)
    if change.kind == "equal rows":
        return str(change.session), "", "", "", "", stamp, "published again with equal rows"
    row = "a new row" if change.old is None else "the row is gone"
    how = "new ETag" if change.kind == "new etag" else "other bytes under the same ETag"
    values = (change.column or row, change.old or "", change.new or "")
    return str(change.session), *(_short(text) for text in (change.ticker, *values)), stamp, how
