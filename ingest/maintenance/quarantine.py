"""Files that were refused and kept: what they are, how to dismiss one, and how to accept one that removes rows."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from ingest.cache import lock, quarantine
from ingest.cache.cache import Cache, Layout
from ingest.cache.commit import commit, for_run, for_writing
from ingest.cache.manifest import Held
from ingest.cache.manifest.records import QuarantinedFile
from ingest.cache.parts import members
from ingest.errors import CacheError, UnreadableFile, UsageError, printable
from ingest.files import durable
from ingest.files import opening as files
from ingest.finding import Finding
from ingest.hints import Call, call
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import Dataset
from ingest.market.patterns import some
from ingest.market.windows import Window
from ingest.pipeline.session.body import SessionText, text_of
from ingest.pipeline.session.reason import RefusedText
from ingest.pipeline.session.replacement import versions
from ingest.pipeline.task import Job
from ingest.pipeline.worker import prepare
from ingest.planning.plan import Decision
from ingest.planning.request import Request
from ingest.settings import Settings
from ingest.settings.tuning import Tuning
from ingest.sources.base import Body
from ingest.splitting.diff import MAX_LOSS
from ingest.tracked.update import Say, bring_up_to_date

_GZIP = b"\x1f\x8b"
_MOST_LINES, _MOST_CHARACTERS, _MOST_BYTES = 5, 200, 16 * 1024
"""Bytes read from the beginning of a refused file, which may be anything."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a refused file would remove: `rows` of the `held` stored ones, more than it adds for these `tickers`.

    There are no tickers if the stored parts are damaged, so that only numbers of rows can be compared.
    """

    rows: int
    held: int
    tickers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused file, inspected: where it is kept, its first lines (printable), and what it would remove.

    `loss` is None for a file that cannot be accepted. `lines` are the lines at fault in one that cannot be read, and
    their neighbours, by number (the header is line 1); printable, and cut to a width. `bad_rows` counts the rows
    without which it could be accepted: 0 if there is more to it.
    """

    file: QuarantinedFile
    path: str
    opening: tuple[str, ...]
    loss: Loss | None
    lines: Mapping[int, str] = field(default_factory=dict)
    bad_rows: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A refused file that was applied: `went` counts the rows that it removed, `came` those that it added.

    Both are None if the stored version was damaged. `is_new`: nothing of the session was stored.
    """

    session: date
    went: int | None
    came: int | None
    findings: tuple[Finding, ...]
    is_new: bool = False


def in_quarantine(
    settings: Settings, sessions: Collection[date] = (), dataset: Dataset = STOCKS_DAY
) -> Sequence[QuarantinedFile]:
    """The files in quarantine, or only those of these sessions; raises UsageError if one has none, CacheError."""
    found, _ = _looked_up(settings, dataset)
    _refuse_unknown(dataset, set(sessions) - {one.session for one in found})
    return [one for one in found if not sessions or one.session in sessions]


def waiting(
    settings: Settings, sessions: Collection[date] = (), dataset: Dataset = STOCKS_DAY
) -> Sequence[QuarantinedFile]:
    """Like `in_quarantine`, but sessions that are stored by now, and no longer in quarantine, are left out.

    Without sessions, those that are not dismissed. Raises UsageError for a session that is neither, CacheError.
    """
    found, held = _looked_up(settings, dataset)
    _refuse_unknown(dataset, set(sessions) - {one.session for one in found} - held)
    return [one for one in found if (one.session in sessions if sessions else not one.dismissed)]


def reopened(
    settings: Settings, sessions: Collection[date] = (), dataset: Dataset = STOCKS_DAY
) -> Sequence[QuarantinedFile]:
    """Like `waiting`, for those who download them again: what was dismissed no longer is.

    Raises UsageError, CacheLocked, CacheError.
    """
    found = waiting(settings, sessions, dataset)
    if again := [one.session for one in found if one.dismissed]:
        dismiss(settings, again, dataset, undo=True)
    return found


def dismiss(
    settings: Settings, sessions: Collection[date], dataset: Dataset = STOCKS_DAY, undo: bool = False
) -> Sequence[QuarantinedFile]:
    """Leave these files in quarantine for good, so that they no longer make a run end with 3; or `undo` that.

    It holds for these versions: one that is published later is new. All or none are dismissed, whenever this is
    killed. Returns the files as they are now. Raises UsageError if a session is not in quarantine, CacheLocked,
    CacheError.
    """
    in_quarantine(settings, sessions, dataset)
    with lock.hold(settings.cache.root), for_writing(settings, dataset) as cache:
        cache.manifest.replacements.dismiss(sessions, undo)
    return in_quarantine(settings, sessions, dataset)


def _looked_up(settings: Settings, dataset: Dataset) -> tuple[Sequence[QuarantinedFile], frozenset[date]]:
    """What is in quarantine, and the stored sessions."""
    with Cache.read(settings, dataset) as cache:
        replacements, sessions = cache.manifest.replacements, cache.manifest.sessions
        return cache.manifest.at_once(lambda: (replacements.in_quarantine(), frozenset(sessions.committed())))


def _refuse_unknown(dataset: Dataset, unknown: Collection[date]) -> None:
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        named = some([str(session) for session in sorted(unknown)])
        raise UsageError(
            f"{named} {verb} not in quarantine", call("quarantine list", "to see what is", dataset=dataset.short)
        )


def inspect(settings: Settings, session: date, dataset: Dataset = STOCKS_DAY) -> Refused:
    """Inspect a session's refused file; writes nothing. Raises UsageError if it is not in quarantine, CacheError."""
    (one,) = in_quarantine(settings, [session], dataset)
    layout = Layout.of(settings, dataset)
    path, body = quarantine.file_of(layout, session), _kept(layout, one, settings.tuning)
    if one.acceptable:
        return Refused(one, str(path), _opening(path), _loss_of(settings, one, body, dataset))
    found = _text(settings, body, dataset).look()
    return Refused(one, str(path), _opening(path), None, lines=found.lines, bad_rows=found.bad_rows)


def _text(settings: Settings, body: Body, dataset: Dataset) -> RefusedText:
    return RefusedText(body, dataset, settings.limits.max_unpacked_bytes, settings.tuning)


def accept(
    settings: Settings, request: Request, sessions: Collection[date], say: Say, without_bad_rows: bool = False
) -> Sequence[Accepted]:
    """Apply the kept bytes of these sessions, although they remove rows; downloads nothing.

    `without_bad_rows`: also those with rows that cannot be read, a tenth of all at most. These are left out, which is a
    finding; the file stays in quarantine, dismissed. It must not remove more than a tenth of the stored rows, either.

    Of the request only the tracked tickers count; `say` gets further messages. Sessions that are stored, and not in
    quarantine, are done already, perhaps by an interrupted acceptance, and are not in the result. Raises UsageError if
    one is neither, or cannot be read, and CacheError if its bytes are gone, before anything is applied; CacheLocked.
    """
    _check(settings, request.dataset, waiting(settings, sessions, request.dataset), without_bad_rows)
    with lock.hold(settings.cache.root):
        request = replace(request, window=Window(min(sessions), max(sessions)))
        with for_run(settings, request.dataset, request.window) as cache:
            left = [one for one in cache.manifest.replacements.in_quarantine() if one.session in sessions]
            for session in set(sessions) - {one.session for one in left}:
                quarantine.drop(cache, session)  # a killed acceptance may not have done this
            accepting = _Accepting(settings, request, cache)
            done = [accepting.take(one) for one in left]
            bring_up_to_date(cache, settings, request.tracked, say)
            cache.manifest.runs.finish(cache.run, 0, {"accepted": len(done)})
    return done


def settle(settings: Settings, request: Request, say: Say) -> None:
    """Do what follows from stored sessions: a killed download or acceptance may not have done it.

    Sends no request. Raises UsageError, CacheError, CacheLocked.
    """
    settings.lake.check()
    with lock.hold(settings.cache.root), for_writing(settings, request.dataset) as cache:
        bring_up_to_date(cache, settings, request.tracked, say)


def _check(settings: Settings, dataset: Dataset, chosen: Sequence[QuarantinedFile], without_bad_rows: bool) -> None:
    layout = Layout.of(settings, dataset)
    for one in chosen:
        if not one.acceptable and not without_bad_rows:
            raise _unreadable(dataset, one.session, one.reason, *_way_out(settings, dataset, one))
    for one in chosen:
        _check_bytes(layout, one)
    for one in chosen:
        if not one.acceptable:
            _check_rows(settings, dataset, one)


def _way_out(settings: Settings, dataset: Dataset, one: QuarantinedFile) -> Iterator[Call]:
    """The advice to leave out bad rows, if they are all that is wrong."""
    layout = Layout.of(settings, dataset)
    with suppress(CacheError):
        if _text(settings, _kept(layout, one, settings.tuning), dataset).look().bad_rows:
            yield call(
                "quarantine accept",
                "to apply it without the rows that cannot be read",
                without_bad_rows=True,
                session=one.session,
                dataset=dataset.short,
            )


def _check_rows(settings: Settings, dataset: Dataset, one: QuarantinedFile) -> None:
    body = _kept(Layout.of(settings, dataset), one, settings.tuning)
    try:
        text = _text(settings, body, dataset).without_bad_rows()
        loss = _loss(settings, one, text, dataset)
    except UnreadableFile as error:  # quotes: each row can be read, and all of them together cannot
        raise _unreadable(dataset, one.session, error) from error
    if loss and loss.rows > MAX_LOSS * loss.held:
        lost = f"without its bad rows it would remove {loss.rows:,} of the {loss.held:,} stored rows"
        raise UsageError(f"{one.session} cannot be accepted: {lost}", _retry(dataset, one.session))


def _unreadable(dataset: Dataset, session: date, why: object, *ways: Call) -> UsageError:
    told = f"{session} cannot be accepted because its file cannot be read: {why}"
    return UsageError(told, *ways, _retry(dataset, session))


def _retry(dataset: Dataset, session: date) -> Call:
    return call("quarantine retry", "to download it again", session=session, dataset=dataset.short)


class _Accepting:
    """An acceptance in progress, under the lock and with the manifest open."""

    def __init__(self, settings: Settings, request: Request, cache: Cache) -> None:
        self._settings, self._request, self._cache = settings, request, cache
        self._manifest = cache.manifest
        self._states = cache.manifest.sessions.all()

    def take(self, one: QuarantinedFile) -> Accepted:
        """Store this version of the session, as a run would."""
        tuning = self._settings.tuning
        body = _kept(self._cache, one, tuning)
        held = self._states.get(one.session, Held())
        tracked = self._request.tracked | held.tracked
        keep_rest = self._settings.archive.save_others or held.archive_kept
        decision = Decision(one.session, "fetch", "accepted", "listed", held=held, tracked=tracked, keep_rest=keep_rest)
        replaced = self._manifest.replacements.held([one.session]).get(one.session)
        cache, limit = self._cache, self._settings.limits.max_unpacked_bytes
        number = self._manifest.tracked_sets.number(tracked)
        job = Job(decision, number, cache.dataset, cache.parts, limit, replaced=replaced, tuning=tuning)
        try:
            if one.acceptable:
                prepared = prepare(replace(job, accept=True), body)
            else:
                prepared = prepare(job, body, text=_text(self._settings, body, cache.dataset).without_bad_rows())
        except UnreadableFile as error:  # it was readable when it was refused: with another limit, by another version
            raise _unreadable(self._request.dataset, one.session, error) from error
        commit(self._cache, [prepared])
        change, found = prepared.correction, prepared.record.findings
        if change is None and replaced is None:
            return Accepted(one.session, 0, prepared.record.source_rows, found, is_new=True)
        if change is None:
            same = 0 if held.etag else None  # applied before, or damaged
            return Accepted(one.session, same, same, found)
        return Accepted(one.session, len(change.removed), len(change.added), found)


def _check_bytes(layout: Layout, one: QuarantinedFile) -> None:
    path = quarantine.file_of(layout, one.session)
    with durable.translated("read", path):
        why = quarantine.wrong_with(layout, one)
    if why:
        raise CacheError(f"the quarantined file {path} cannot be used: {why}", _retry(layout.dataset, one.session))


def _kept(layout: Layout, one: QuarantinedFile, tuning: Tuning) -> Body:
    """The refused bytes, as the source sent them. Raises CacheError if they are gone, or are others."""
    _check_bytes(layout, one)
    return quarantine.body_of(layout, one, tuning.large)


def _loss_of(settings: Settings, one: QuarantinedFile, body: Body, dataset: Dataset) -> Loss | None:
    try:
        text = text_of(body, settings.limits.max_unpacked_bytes, settings.tuning)
        return _loss(settings, one, text, dataset)
    except UnreadableFile as error:
        raise _unreadable(dataset, one.session, error) from error


def _loss(settings: Settings, one: QuarantinedFile, text: SessionText, dataset: Dataset) -> Loss | None:
    """What accepting it would remove; None if nothing of the session is stored."""
    with Cache.read(settings, dataset) as cache:
        held = cache.manifest.sessions.all().get(one.session, Held())
        replaced = cache.manifest.replacements.held([one.session]).get(one.session)
    if replaced is None:
        return None
    limit = settings.limits.max_unpacked_bytes
    decision = Decision(one.session, "fetch", "accepted", "listed", held=held)
    # Nothing is committed, so there is no number of a tracked set.
    job = Job(decision, 0, cache.dataset, cache.parts, limit, replaced=replaced, tuning=settings.tuning)
    before, after = _tickers(job, text)
    if before is None:
        return Loss(max(0, replaced.rows - after.total()), replaced.rows, ())
    lost = before - after
    return Loss(lost.total(), before.total(), tuple(sorted(lost)))


def _tickers(job: Job, text: SessionText) -> tuple[Counter[str] | None, Counter[str]]:
    """Rows by ticker of the stored version and of its replacement; None if the stored parts are damaged."""
    if job.replaced is None:
        raise AssertionError(f"{job.decision.session} is not stored")
    before, after = versions(job, job.replaced, text)
    return before.tickers() if before else None, after.tickers()


def _opening(path: Path) -> tuple[str, ...]:
    """The first lines, as far as the file unpacks; if it is not gzip, the first lines as they are."""
    with durable.translated("read", path), files.to_read(path) as file:
        data = file.read(_MOST_BYTES)
    text = members.opening(data, _MOST_BYTES) if data.startswith(_GZIP) else data
    lines = text.decode(errors="backslashreplace").splitlines()[:_MOST_LINES]
    return tuple(printable(line)[:_MOST_CHARACTERS] for line in lines)
