"""Numbers and events in words."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from ingest import events
from ingest.cli.rendering.hints import dataset_flag, said
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import Dataset
from ingest.market.permission import REFUSED
from ingest.planning.plan import Plan


def size(count: float) -> str:
    """Bytes for people: 999 B, 1.2 MB (decimal units)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def counted(count: int, noun: str) -> str:
    """`1 session`, `2 sessions`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def refused_files(waiting: int, dismissed: int) -> str:
    """`2 files in quarantine, 1 of them dismissed`."""
    told = f", {'it is' if waiting + dismissed == 1 else f'{dismissed:,} of them'} dismissed" if dismissed else ""
    return f"{counted(waiting + dismissed, 'file')} in quarantine{told}"


def minute(stamp: str) -> str:
    """An ISO time to the minute: 2025-11-11 06:00."""
    return stamp[:16].replace("T", " ")


def heading(dataset: Dataset, of: Collection[Dataset]) -> str:
    """The heading of a dataset's part of the output; empty if it is the only dataset."""
    return f"{dataset.short} ({dataset.name})" if len(of) > 1 else ""


def is_telling(done: events.Finished) -> bool:
    """Whether the summary says more than the error that ended the run."""
    return done.exit_code in (0, 3, 130) or bool(done.fetched)


def explains_refusals(event: events.Event) -> bool:
    """Whether the event explains what the vendor's 403 may mean; once per run is enough."""
    return isinstance(event, events.Notice) and REFUSED in event.message


def summary(done: events.Finished, explained: bool = False) -> list[tuple[str, str]]:
    """The summary as labels and values, without uninteresting zeros; `explained`: refusals were explained before."""
    flag = dataset_flag(short(done.dataset))
    rows = [
        ("dataset", done.dataset),
        ("window", f"{done.start} to {done.end}"),
        ("fetched", f"{counted(done.fetched, 'session')}, {size(done.bytes)}, {done.requests:,} requests"),
        ("stored in the window", counted(done.committed, "session")),
        *_states(done, explained),
    ]
    if done.fetched:
        rows.append(("rows", f"{done.source_rows:,} = {_parts(done)}"))
    if done.corrections:
        rows.append(("corrected", f"{counted(done.corrections, 'session')} (`ingest corrections{flag}` lists them)"))
    if done.findings:
        rows.append(("findings", f"{_found(done.findings)} (`ingest findings{flag}` lists them)"))
    if done.files_projected:
        rows.append(("tracked CSVs written", f"{done.files_projected:,}"))
    if done.lake_files:
        rows.append(("files of the lake written", f"{done.lake_files:,}"))
    if done.yahoo_rows:
        rows.append(("from Yahoo", f"{counted(done.yahoo_rows, 'row')} of tracked tickers that Massive does not have"))
    rate = f", {done.bytes / 1e6 / done.seconds:.1f} MB/s" if done.bytes and done.seconds else ""
    return [*rows, ("time", f"{done.seconds:.1f} s{rate}")]


def _found(findings: Mapping[str, int]) -> str:
    kinds = [f"{kind} in {counted(count, 'session')}" for kind, count in findings.items()]
    return "; ".join([*kinds[:3], f"{len(kinds) - 3} other kinds"] if len(kinds) > 4 else kinds)


def _parts(done: events.Finished) -> str:
    parts = [f"{done.tracked_rows:,} tracked", f"{done.archive_rows:,} archived"]
    return " + ".join([*parts, f"{done.dropped_rows:,} dropped"] if done.dropped_rows else parts)


_SHOWN = 3
"""Downloads named one by one."""

_FETCH = "fetch: "
_MEANING = {
    "forbidden": "forbidden",
    "unpublished": "not published yet",
    "absent": "not listed by the source",
    "failed": "failed (retried by the next run)",
    "damaged": "stored but damaged (see `ingest verify`)",
    "quarantined": "quarantined (see `ingest quarantine list`)",
    "dismissed": "quarantined and dismissed",
    "not_attempted": "not attempted (left for the next run)",
}


def _states(done: events.Finished, explained: bool) -> Iterable[tuple[str, str]]:
    counts = {name: getattr(done, name) for name in _MEANING}
    told = {"forbidden": "" if explained else f" ({REFUSED})"}
    parts = [(_MEANING[name].partition(" ("), n, told.get(name, "")) for name, n in counts.items() if n]
    return [(label, f"{counted(n, 'session')}{opens}{more}{why}") for (label, opens, more), n, why in parts]


def outcome(done: events.Finished) -> str:
    """How the run ended, in one line."""
    if done.interrupted:
        return "Interrupted: what was in flight is committed. Run again to continue."
    if done.exit_code == 0:
        kept = "stored or dismissed" if done.dismissed else "stored"
        return f"Nothing to download: everything available is {kept}." if not done.fetched else "Complete."
    if done.exit_code == 3:
        if done.failed or done.quarantined:
            return "Finished, but some sessions failed or are quarantined: see above."
        what = "some stored sessions are damaged" if done.damaged else "the source lists no file of this dataset"
        return f"Finished, but {what}: see above."
    return "Ended early: what was committed stays. Run again to continue."


def why_not_0(done: events.Finished) -> str:
    """Why a run did not end with 0, in one line; empty if it did, or if an error that ended it says why."""
    if done.interrupted:
        return f"{short(done.dataset)}: {outcome(done)}"
    if done.exit_code != 3:
        return ""
    causes = {name: getattr(done, name) for name in ("failed", "quarantined", "damaged")}
    told = [f"{counted(n, 'session')} {_MEANING[name]}" for name, n in causes.items() if n]
    return f"{short(done.dataset)}: ended with 3: {'; '.join(told) or 'the source lists no file of this dataset'}"


def _pending(one: events.PendingDownload, dataset: str) -> str:
    return f"{dataset} {one.session} ({size(one.bytes)} of {size(one.of)}, silent for {one.silent_s:.0f} s)"


def stopping(event: events.Stopping | events.Draining, dataset: str) -> str:
    """What a stopping run does, or still waits for: the first downloads by name, and how long each has been silent."""
    if isinstance(event, events.Stopping):
        silent = f"; a download that is silent for {event.give_up_s:.0f} s is given up" if event.give_up_s else ""
        return f"stopping after what is in flight{silent}"
    shown = [_pending(one, dataset) for one in event.downloads[:_SHOWN]]
    more = f" and {len(event.downloads) - _SHOWN} more" if len(event.downloads) > _SHOWN else ""
    return f"waiting for {counted(len(event.downloads), 'download')}: {', '.join(shown)}{more}"


def awaiting(event: events.Awaiting) -> str:
    """What a run waits for, since when, and when it looks next; times are local."""
    what = f"the file of {event.session} ({short(event.dataset)})"
    why = f" (the source did not answer: {event.cause})" if event.cause else ""
    if event.next is None:
        return f"{what} is not there yet{why}; the time is over, so the run goes on with what there is"
    span = f"since {_local(event.since)}, at most until {_local(event.until)}"
    return f"waiting for {what} {span}; next look at {_local(event.next)}{why}"


def short(dataset: str) -> str:
    """The short name of a dataset, which flags use; its full name if it has none."""
    return next((one.short for one in CATALOGUE.values() if one.name == dataset), dataset)


def _local(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"


def workers(event: events.Workers) -> str:
    """How many workers an engine has now."""
    return f"{counted(event.workers, 'worker') if event.workers else 'no worker yet'}, {event.engine}"


def to_fetch(event: events.Planned) -> str:
    """What a run is about to download, and why."""
    if not event.fetch:
        return "to download: nothing"
    reasons = {key.removeprefix(_FETCH): count for key, count in event.reasons.items() if key.startswith(_FETCH)}
    whys = [f"{count:,} {_reason(reason)}" for reason, count in reasons.items()]
    return f"to download: {counted(event.fetch, 'session')}, {size(event.bytes)} ({'; '.join(whys)})"


_REASONS = {
    "held back before": "previously quarantined",
    "refused before": "previously forbidden",
    "failed before": "previously failed",
    "left for later": "over this run's limit",
}
"""A plan's reasons for people; in JSON they keep their keys."""


def _reason(reason: str) -> str:
    missing = reason.removeprefix("lacks ")
    return _REASONS.get(reason, reason) if missing == reason else f"{missing} missing"


def plan_rows(plan: Plan) -> list[tuple[str, str, str, str, str]]:
    """The plan grouped by action and reason: action, reason, sessions, span, compressed size."""
    rows = []
    for key in plan.reasons():
        action, _, reason = key.partition(": ")
        group = [one for one in plan.decisions if (one.action, one.reason) == (action, reason)]
        packed = sum(one.item.size for one in group if one.item)
        span = f"{group[0].session} to {group[-1].session}" if len(group) > 1 else str(group[0].session)
        rows.append((action, _reason(reason), f"{len(group):,}", span, size(packed) if packed else ""))
    return rows


def warning(event: events.Event) -> str | None:
    """The warning that every rendering must show for an event; None if it is none."""
    match event:
        case events.Notice(message=message, level="warning", hints=hints):
            return said(message, hints)
        case events.Vanished(session=session):
            return f"{session} was listed but its file is gone; the next run will check again"
        case events.Failed(session=session, reason=reason):
            return f"{session} failed: {reason}"
        case events.Quarantined(session=session, reason=reason, path=path, acceptable=True, dataset=dataset):
            one = f"{session}{dataset_flag(dataset)}"
            way = f"`ingest quarantine show {one}` shows more, `ingest quarantine accept {one}` applies it"
            return f"{session} was republished and quarantined: {reason}; its bytes are in {path}. {way}"
        case events.Quarantined(session=session, reason=reason, path=path, dataset=dataset):
            way = f"`ingest quarantine show {session}{dataset_flag(dataset)}` shows more"
            return f"{session} is unreadable and was quarantined: {reason}; its bytes are in {path}. {way}"
        case events.ConcurrencyChanged(limit=limit, cause=cause):
            return f"downloads at once: {limit} ({cause})"
    return None
