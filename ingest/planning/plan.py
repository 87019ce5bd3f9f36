"""One decision for each session of a window, with its reason. Pure: listing, manifest and lists in, decisions out."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Literal

from ingest.cache.manifest.records import Held, RemoteState
from ingest.market.patterns import covered, some
from ingest.market.permission import Permission
from ingest.sources.base import RemoteObject, same_etag

Action = Literal["fetch", "skip"]

LATER = "left for later"
"""The reason of sessions that would be downloaded but exceed the limits of this run."""

_REFUSALS: Collection[RemoteState | None] = ("forbidden", "failed")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a run does about a session, and why.

    `tracked` and `keep_rest` say how a downloaded session will be split: always at least with what is stored of it.
    `remote` is what the listing (or, if forbidden, the last answer) says about it. A `damaged` session is stored, but
    known to be incomplete or wrong.
    """

    session: date
    action: Action
    reason: str
    remote: RemoteState
    item: RemoteObject | None = None
    held: Held = field(default_factory=Held)
    tracked: frozenset[str] = frozenset()
    keep_rest: bool = True
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants of each session; if `only` names some, the others are left alone.

    With `accept`, also files that were quarantined because they remove too many rows, and not dismissed.
    """

    tracked: frozenset[str]
    save_others: bool
    refresh: bool = False
    only: frozenset[date] | None = None
    accept: bool = False

    def asks_for(self, session: date) -> bool:
        """Whether the session is part of the request."""
        return self.only is None or session in self.only


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored: the state of each session, and the committed sessions with a part whose file is missing."""

    states: Mapping[date, Held]
    missing_parts: Collection[date] = ()

    def of(self, session: date) -> Held:
        """State of a session; an empty one if nothing is known about it."""
        return self.states.get(session, Held())


@dataclass(frozen=True, slots=True)
class Plan:
    """All decisions of a window, by date. `is_bare`: the source lists no file of the dataset for any year."""

    decisions: tuple[Decision, ...]
    is_bare: bool = False

    @property
    def fetches(self) -> tuple[Decision, ...]:
        """Sessions to download, oldest first: the allowed span rolls forward, so the oldest is lost first.

        Sessions that were refused or failed last time come last, so that those which fail every night do not use up a
        run's limits or its patience.
        """
        wanted = (decision for decision in self.decisions if decision.action == "fetch")
        return tuple(sorted(wanted, key=lambda one: one.held.remote in _REFUSALS))

    @property
    def bytes(self) -> int:
        """Packed bytes to download."""
        return sum(decision.item.size for decision in self.fetches if decision.item)

    def permitted(self, permission: Permission) -> "Plan":
        """The same plan without requests that the permission is known to refuse."""
        return replace(self, decisions=tuple(_if_permitted(decision, permission) for decision in self.decisions))

    def reasons(self) -> dict[str, int]:
        """How many sessions have each reason; downloads come first."""
        order = sorted(self.decisions, key=lambda decision: (decision.action, decision.session))
        return dict(Counter(f"{decision.action}: {decision.reason}" for decision in order))


def make_plan(
    window: tuple[date, date],
    listing: Mapping[date, RemoteObject],
    stored: Stored,
    is_session: Callable[[date], bool],
    wishes: Wanted,
    *,
    last_listed: date | None = None,
) -> Plan:
    """Decide for each day of the window (inclusive) that is a session, is listed, or is a holiday on a weekday.

    An unlisted session is unpublished if it is later than `last_listed` (by default the last of the listing), and
    absent otherwise.
    """
    last_listed = last_listed or max(listing, default=date.min)
    decisions = [
        _listed(day, listing[day], stored.of(day), wishes, day in stored.missing_parts)
        if day in listing
        else _unlisted(day, stored.of(day), is_session(day), last_listed, day in stored.missing_parts)
        for day in _days(*window)
        if wishes.asks_for(day) and (day in listing or day in stored.states or is_session(day) or day.weekday() < 5)
    ]
    return Plan(tuple(decisions))


def _days(start: date, end: date) -> Iterable[date]:
    return (start + timedelta(days=n) for n in range((end - start).days + 1))


def _unlisted(day: date, held: Held, is_session: bool, last_listed: date, parts_missing: bool) -> Decision:
    remote: RemoteState = "holiday" if not is_session else "unpublished" if day > last_listed else "absent"
    damaged = parts_missing or held.is_doubtful
    return Decision(day, "skip", _as_it_is(held, damaged) or remote, remote, held=held, damaged=damaged)


def _as_it_is(held: Held, damaged: bool) -> str | None:
    """The reason of a stored session that is not downloaded; None for others."""
    if held.held != "committed":
        return None
    return "damaged" if damaged else "committed"


def _listed(day: date, item: RemoteObject, held: Held, wishes: Wanted, parts_missing: bool) -> Decision:
    why = _why_fetch(item, held, wishes, parts_missing)
    return Decision(
        session=day,
        action="fetch" if why else "skip",
        reason=why or _why_skip(item, held, wishes, parts_missing or held.is_doubtful),
        remote=held.remote if _still_refused(item, held) and held.remote else "listed",
        item=item,
        held=held,
        tracked=wishes.tracked | held.tracked,
        keep_rest=wishes.save_others or held.archive_kept,
        damaged=parts_missing or held.is_doubtful,
    )


def _why_fetch(item: RemoteObject, held: Held, wishes: Wanted, parts_missing: bool) -> str | None:
    """The reason to download a listed session; None if the stored data suffices or another download would not help."""
    if wishes.refresh:
        return "refresh"
    if _is_quarantined(item, held):
        return "held back before" if wishes.accept and held.acceptable and not held.dismissed else None
    if held.held != "committed":
        before = {"failed": "failed before", "forbidden": "refused before"}.get(held.remote or "")
        return before or ("new etag" if held.held == "quarantined" else "new")
    if parts_missing:
        return "missing part"
    if not same_etag(held.etag, item.etag):
        return "new etag" if held.etag else "damaged"
    return _why_split_again(held, wishes)


def _why_skip(item: RemoteObject, held: Held, wishes: Wanted, damaged: bool) -> str:
    if not _is_quarantined(item, held):
        return "committed"
    if not held.dismissed:
        return "quarantined"
    if held.held == "committed" and damaged:
        return "damaged"
    is_stored = same_etag(held.etag, item.etag)  # without its bad rows
    return "committed" if is_stored and not _why_split_again(held, wishes) else "dismissed"


def _why_split_again(held: Held, wishes: Wanted) -> str | None:
    if held.archive_kept:
        return None
    if wishes.save_others:
        return "lacks archive"
    missing = sorted(wishes.tracked - covered(held.tracked, wishes.tracked))
    return f"lacks {some(missing, 3)}" if missing else None


def _is_quarantined(item: RemoteObject, held: Held) -> bool:
    """Whether exactly these bytes were quarantined before, as a new session or as a replacement of a stored one."""
    return same_etag(held.quarantined, item.etag)


def _still_refused(item: RemoteObject, held: Held) -> bool:
    """Whether the last answer, which was about exactly these bytes, still stands until they are requested again."""
    return held.remote in _REFUSALS and same_etag(held.remote_etag, item.etag)


def _if_permitted(decision: Decision, permission: Permission) -> Decision:
    if decision.action == "skip" or permission.allows(decision.session) is not False:
        return decision
    reason = _as_it_is(decision.held, decision.damaged) or "forbidden"
    return replace(decision, action="skip", reason=reason, remote="forbidden")


def limit(plan: Plan, max_files: int | None, max_bytes: int | None) -> Plan:
    """The first downloads of a plan that fit both limits (packed bytes); the rest is left for later."""
    if max_files is None and max_bytes is None:
        return plan
    taken, size = set[date](), 0
    for decision in plan.fetches:
        size += decision.item.size if decision.item else 0
        if (max_files is not None and len(taken) >= max_files) or (max_bytes is not None and size > max_bytes):
            break
        taken.add(decision.session)
    return Plan(tuple(_kept_to(decision, taken) for decision in plan.decisions))


def _kept_to(decision: Decision, taken: Collection[date]) -> Decision:
    if decision.action == "skip" or decision.session in taken:
        return decision
    return replace(decision, action="skip", reason=LATER)
