"""What follows every commit: compares row counts, expands patterns, and updates the tracked CSVs.

Each step handles the sessions that no projection has seen, and the last one marks them as seen. After a kill in between
the next run does all of it again.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date

from ingest import events
from ingest.cache.cache import Cache
from ingest.cache.manifest import Manifest
from ingest.files import durable
from ingest.finding import Finding
from ingest.lake.keeping import keep_up_to_date
from ingest.settings import Settings
from ingest.tracked import expand
from ingest.tracked.projection import brought_over, project

Say = Callable[[str], None]


def bring_up_to_date(cache: Cache, settings: Settings, names: Iterable[str], say: Say) -> expand.Followed:
    """Make these tickers, and those that match these patterns, the tracked ones, and update their CSVs and the lake.

    Sends no request; `say` gets a message if all CSVs change, or something was in the way of the lake. Removes what a
    killed process left among them. Raises CacheError.
    """

    def heard(event: events.Event) -> None:
        if isinstance(event, events.Notice):
            say(event.message)
        elif isinstance(event, events.LakeWritten | events.TableWritten) and event.notice:
            say(event.notice)

    durable.make_folder(cache.csvs.path)
    cache.csvs.sweep()
    followed = expand.follow(cache, names)
    bring_csvs_up_to_date(cache, settings.fallback.into_csv, heard)
    if settings.lake.enabled:
        keep_up_to_date(cache, settings.lake, heard)
    return followed


def bring_csvs_up_to_date(cache: Cache, yahoo: bool, sink: events.Sink) -> None:
    """Compare row counts and update the tracked CSVs; reports to `sink` what changed. Raises CacheError.

    With `yahoo` the CSVs also contain Yahoo's rows, for sessions that are not stored.
    """
    for session, found in compare_counts(cache.manifest).items():
        sink(events.Found(session, (found,)))
    if words := brought_over(cache.manifest):
        sink(events.Notice(words))
    if projected := project(cache, yahoo):
        sink(projected)


def compare_counts(manifest: Manifest) -> Mapping[date, Finding]:
    """If any session is new, find all sessions whose number of rows is far from their neighbours'.

    Returns the findings on the new ones, by date. Call it before the projection, after which no session is new; so a
    kill in between loses nothing. Raises CacheError.
    """
    new = manifest.sessions.pending()
    if not new:
        return {}
    from ingest.splitting.checks import far_counts  # polars and numpy, which a run with nothing to do does not import

    far = far_counts(manifest.findings.row_counts())
    manifest.findings.put_far_counts(far)
    return {session: far[session] for session in sorted(new & far.keys())}
