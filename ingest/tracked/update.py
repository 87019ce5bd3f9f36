"""What follows from every commit: row counts beside the neighbours', tickers of patterns, tracked CSVs.

Each step looks at the sessions that no projection has seen, and the last one calls them seen: whoever is killed in
between leaves them to the next one, who does all of it again.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date

from ingest import events
from ingest.cache.cache import Cache
from ingest.cache.manifest import Manifest
from ingest.finding import Finding
from ingest.settings import Settings
from ingest.tracked import expand
from ingest.tracked.projection import brought_over, project

Say = Callable[[str], None]


def bring_up_to_date(cache: Cache, settings: Settings, names: Iterable[str], say: Say) -> expand.Followed:
    """Make these tickers, and those that match these patterns, the tracked ones, and their CSVs what is held.

    Asks no one; `say` is told where all CSVs change. What a killed process left among them goes. Raises CacheError.
    """

    def heard(event: events.Event) -> None:
        if isinstance(event, events.Notice):
            say(event.message)

    cache.csvs.sweep()
    followed = expand.follow(cache, names)
    bring_csvs_up_to_date(cache, settings.fallback.into_csv, heard)
    return followed


def bring_csvs_up_to_date(cache: Cache, yahoo: bool, sink: events.Sink) -> None:
    """The same for who has followed the lists already, and reports what comes of it. Raises CacheError.

    With `yahoo` the CSVs have its rows, too, of sessions that are not held.
    """
    for session, found in compare_counts(cache.manifest).items():
        sink(events.Found(session, (found,)))
    if words := brought_over(cache.manifest):
        sink(events.Notice(words))
    if projected := project(cache, yahoo):
        sink(projected)


def compare_counts(manifest: Manifest) -> Mapping[date, Finding]:
    """Find all sessions anew whose number of rows is far from their neighbours', where any session is new.

    Returns what was found of the new ones, by date. To be called before the projection, after which no session is new:
    so a kill in between loses nothing. Raises CacheError.
    """
    new = manifest.sessions.pending()
    if not new:
        return {}
    from ingest.splitting.checks import far_counts  # polars and numpy, which a run with nothing to do does without

    far = far_counts(manifest.findings.row_counts())
    manifest.findings.put_far_counts(far)
    return {session: far[session] for session in sorted(new & far.keys())}
