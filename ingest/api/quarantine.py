"""`ingest.quarantine`: files that were refused and kept, because they are unreadable or would remove many rows.

ingest.quarantine.list()                  what is kept, and why it was refused
ingest.quarantine.accept("2025-11-11")    apply the kept file, although it removes rows
ingest.quarantine.dismiss("2025-11-11")   keep it, and end runs with 0 again
ingest.quarantine.retry()                 download refused files again
"""

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import replace
from datetime import date
from pathlib import Path

from ingest import events, settings
from ingest.api.downloads import engine_for
from ingest.api.progress import reported
from ingest.cache.manifest.records import QuarantinedFile
from ingest.maintenance import quarantine
from ingest.maintenance.quarantine import Accepted
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.market.windows import Window
from ingest.pipeline import run as runs
from ingest.planning.request import Flags, request_of
from ingest.settings.arguments import parse_file, parse_sessions


def list(config: Path | str | None = None, *, dataset: str = STOCKS_DAY.short) -> tuple[QuarantinedFile, ...]:
    """The files in quarantine, oldest session first.

    Each has `session`, `etag`, `size` (packed bytes; None if unknown), `at` (when it was refused: ISO 8601, UTC),
    `reason`, `acceptable` (whether `accept` can apply it), `held` (whether an older version is stored; it stays in
    use) and `dismissed` (when somebody dismissed it, or None). Raises UsageError and CacheError.
    """
    return tuple(quarantine.in_quarantine(settings.load(parse_file(config)), dataset=named(dataset)))


def accept(
    sessions: date | str | Iterable[date | str],
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
    without_bad_rows: bool = False,
) -> tuple[Accepted, ...]:
    """Apply the kept bytes of these sessions, although they remove many rows; downloads nothing.

    `without_bad_rows`: also those with rows that cannot be read, a tenth at most, without these rows. They are a
    finding, and the file stays in quarantine, dismissed.

    Returns what changed, for each session that was in quarantine: `session`, `went` (rows removed), `came` (rows added;
    both None if the stored version was damaged), `findings` and `is_new` (nothing of it was stored). Sessions that are
    stored and no longer in quarantine are done already, and are not in the result.

    Raises UsageError if a session is neither, or its file cannot be read, and CacheError if its bytes are gone, before
    anything is applied; CacheLocked during a run.
    """
    chosen, days = settings.load(parse_file(config)), parse_sessions("sessions", sessions)
    if not days:
        return ()
    request = request_of(Flags(), chosen, events.ignore, named(dataset))
    return tuple(quarantine.accept(chosen, request, days, _silent, without_bad_rows))


def dismiss(
    sessions: date | str | Iterable[date | str],
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
    undo: bool = False,
) -> tuple[QuarantinedFile, ...]:
    """Keep the refused files of these sessions, and no longer end runs with 3 for them; or `undo` that.

    Another version that is refused is new. Returns the files as they are now. Raises UsageError if a session is not in
    quarantine, before anything is dismissed; CacheLocked during a run, CacheError.
    """
    days = parse_sessions("sessions", sessions)
    if not days:
        return ()
    return tuple(quarantine.dismiss(settings.load(parse_file(config)), days, named(dataset), undo))


def retry(
    sessions: date | str | Iterable[date | str] = (),
    config: Path | str | None = None,
    *,
    dataset: str = STOCKS_DAY.short,
    executor: Executor | None = None,
    on_event: events.Sink = events.ignore,
    progress: bool | None = None,
) -> events.Finished | None:
    """Download refused files again, of these sessions or all that are not dismissed, and apply what can be read now.

    Returns the run's summary; None if there was nothing to download. Works in a notebook. `executor`,
    `on_event` and `progress` are as in `ingest.run`. Raises UsageError for a session that is neither stored nor in
    quarantine, and what `ingest.run` raises.
    """
    chosen, kind = settings.load(parse_file(config)), named(dataset)
    days = parse_sessions("sessions", sessions)
    wanted = frozenset(one.session for one in quarantine.reopened(chosen, days, kind))
    if not wanted and not days:
        return None
    request = request_of(Flags(refresh=True), chosen, events.ignore, kind)
    if not wanted:
        quarantine.settle(chosen, request, _silent)
        return None
    window = Window(min(wanted), max(wanted))
    asked = [replace(request, window=window, only=wanted)]
    with reported(on_event, progress) as told, engine_for(chosen, executor) as executor_for:
        return runs.run_sync(chosen, asked, told, executor_for=executor_for).only()


def _silent(message: str) -> None:
    """What is returned says it."""
