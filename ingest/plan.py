"""One decision for each session of a window, with its reason. Pure: listing, manifest and lists in, decisions out."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import groupby
from typing import Literal

from ingest.manifest.records import Held, RemoteState
from ingest.permission import Permission
from ingest.sources.base import RemoteObject

Action = Literal["fetch", "skip"]

LATER = "left for later"
"""The reason of what is to be fetched and is over the limits of this run."""

ASKED_AGAIN = "forbidden before, asked again"
"""The reason of what is asked for to see whether the plan has opened."""

_REFUSALS: Collection[RemoteState | None] = ("forbidden", "failed")


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about a session, and why.

    `tracked` and `keep_rest` say how a fetched session is to be split: never with less than is held of it.
    `remote` is what the listing (or, for a forbidden one, the last answer) says of it.
    """

    session: date
    action: Action
    reason: str
    remote: RemoteState
    item: RemoteObject | None = None
    held: Held = field(default_factory=Held)
    tracked: frozenset[str] = frozenset()
    keep_rest: bool = True


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants to have of each session."""

    tracked: frozenset[str]
    save_others: bool
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All decisions of a window by date; `spans` are the runs of forbidden sessions that are asked at their edges."""

    decisions: tuple[Decision, ...]
    spans: tuple[tuple[Decision, ...], ...] = ()

    @property
    def fetches(self) -> tuple[Decision, ...]:
        """What is to be downloaded, oldest first: what a plan allows rolls forward, so the oldest is lost first."""
        return tuple(decision for decision in self.decisions if decision.action == "fetch")

    @property
    def bytes(self) -> int:
        """Packed bytes to download."""
        return sum(decision.item.size for decision in self.fetches if decision.item)

    def reasons(self) -> dict[str, int]:
        """How many sessions have each reason; what is fetched comes first."""
        order = sorted(self.decisions, key=lambda decision: (decision.action, decision.session))
        return dict(Counter(f"{decision.action}: {decision.reason}" for decision in order))


def make_plan(
    window: tuple[date, date],
    listing: Mapping[date, RemoteObject],
    held: Mapping[date, Held],
    is_session: Callable[[date], bool],
    wishes: Wishes,
    missing_parts: Collection[date] = (),
    permission: Permission = Permission(),  # noqa: B008 - a value
    answered: Collection[date] = (),
) -> Plan:
    """Decide for each day of the window (inclusive) that is a session, is listed, or is a holiday on a weekday.

    `missing_parts` are committed sessions whose files are not there; `permission` is what the keys' plan is known to
    allow. Sessions that have `answered` just now are not asked again where they are forbidden.
    """
    last_listed = max(listing, default=date.min)
    decisions = [
        _listed(day, listing[day], held.get(day, Held()), wishes, day in missing_parts)
        if day in listing
        else _unlisted(day, held.get(day, Held()), is_session(day), last_listed)
        for day in _days(*window)
        if day in listing or day in held or is_session(day) or day.weekday() < 5
    ]
    spans = _forbidden_spans(decisions, permission)
    edges = _edges(spans, permission) - set(answered)
    inside = {decision.session for span in spans for decision in span} - edges
    return Plan(tuple(_at_edge(decision, edges, inside) for decision in decisions), spans)


def _days(start: date, end: date) -> Iterable[date]:
    return (start + timedelta(days=n) for n in range((end - start).days + 1))


def _unlisted(day: date, held: Held, is_session: bool, last_listed: date) -> Decision:
    remote: RemoteState = "holiday" if not is_session else "unpublished" if day > last_listed else "absent"
    reason = "committed" if held.held == "committed" else remote
    return Decision(day, "skip", reason, remote, held=held)


def _listed(day: date, item: RemoteObject, held: Held, wishes: Wishes, parts_missing: bool) -> Decision:
    why = _why_fetch(item, held, wishes, parts_missing)
    return Decision(
        session=day,
        action="fetch" if why else "skip",
        reason=why or ("quarantined" if _is_quarantined(item, held) else "committed"),
        remote=held.remote if _still_refused(item, held) and held.remote else "listed",
        item=item,
        held=held,
        tracked=wishes.tracked | held.tracked,
        keep_rest=wishes.save_others or held.archive_kept,
    )


def _why_fetch(item: RemoteObject, held: Held, wishes: Wishes, parts_missing: bool) -> str | None:
    """The reason to download a listed session; None: what is held suffices, or downloading again is of no use."""
    if wishes.refresh:
        return "refresh"
    if _is_quarantined(item, held):
        return None
    if held.held != "committed":
        return "failed before" if held.remote == "failed" else "new etag" if held.held == "quarantined" else "new"
    if parts_missing:
        return "missing part"
    if held.etag != item.etag:
        return "new etag" if held.etag else "damaged"
    return _why_split_again(held, wishes)


def _why_split_again(held: Held, wishes: Wishes) -> str | None:
    if held.archive_kept:
        return None
    if wishes.save_others:
        return "lacks archive"
    lacking = sorted(wishes.tracked - held.tracked)
    return (
        f"lacks {', '.join(lacking[:3])}{f' and {len(lacking) - 3} more' if len(lacking) > 3 else ''}"
        if lacking
        else None
    )


def _is_quarantined(item: RemoteObject, held: Held) -> bool:
    """Whether just these bytes were unreadable before: as a session's first, or in the place of those that are held."""
    unreadable = held.held == "quarantined" or (held.held == "committed" and held.etag != item.etag and held.reason)
    return bool(unreadable) and held.remote_etag == item.etag and held.remote not in _REFUSALS


def _still_refused(item: RemoteObject, held: Held) -> bool:
    """Whether the last answer, which was about just these bytes, stands until they are asked for again."""
    return held.remote_etag == item.etag and held.remote in _REFUSALS


def _forbidden_spans(decisions: Sequence[Decision], permission: Permission) -> tuple[tuple[Decision, ...], ...]:
    """The spans of sessions that the plan of these keys does not allow: the inside is skipped, the edges are asked.

    A session that is held or to be fetched parts two spans, for a plan's permission begins or ends beside it. What is
    neither (a holiday, say) parts none.
    """
    marks = [decision for decision in decisions if decision.action == "fetch" or decision.held.held != "none"]
    groups = groupby(marks, key=lambda one: one.action == "fetch" and _is_forbidden(one, permission))
    return tuple(tuple(group) for forbidden, group in groups if forbidden)


def _is_forbidden(decision: Decision, permission: Permission) -> bool:
    """What is known of the plan counts more than what the session itself answered when it was last asked."""
    allowed = permission.allows(decision.session)
    return decision.held.remote == "forbidden" if allowed is None else not allowed


def _edges(spans: Sequence[Sequence[Decision]], permission: Permission) -> set[date]:
    """Where forbidden sessions may have opened: next to what is known to be allowed, else at both ends of each span.

    The newest is always asked: one file that is refused for a reason of its own must not hide those after it. What is
    held amid forbidden sessions parts them, but a floor that is known says that none of them opens before another.
    """
    below = [span for span in spans if permission.first and span[-1].session < permission.first]
    others = [span for span in spans if span not in below]
    if permission.first or permission.below:
        others = [[*others[0], *others[-1]]] if others else []
    return {span[-1].session for span in below[-1:]} | {end.session for span in others for end in (span[0], span[-1])}


def _at_edge(decision: Decision, edges: Collection[date], inside: Collection[date]) -> Decision:
    if decision.session in edges:
        return replace(decision, reason=ASKED_AGAIN)
    if decision.session in inside:
        reason = "committed" if decision.held.held == "committed" else "forbidden"
        return replace(decision, action="skip", reason=reason, remote="forbidden")
    return decision


def limit(plan: Plan, max_files: int | None, max_bytes: int | None) -> Plan:
    """The oldest fetches of a plan, as far as they keep to both limits (packed bytes); the rest is left for later.

    Whether something has opened is not asked by a limited plan: that is left for later, too.
    """
    if max_files is None and max_bytes is None:
        return plan
    taken, size = set[date](), 0
    for decision in plan.fetches:
        if decision.reason == ASKED_AGAIN:
            continue
        size += decision.item.size if decision.item else 0
        if (max_files is not None and len(taken) >= max_files) or (max_bytes is not None and size > max_bytes):
            break
        taken.add(decision.session)
    return Plan(tuple(_kept_to(decision, taken) for decision in plan.decisions))


def _kept_to(decision: Decision, taken: Collection[date]) -> Decision:
    if decision.action == "skip" or decision.session in taken:
        return decision
    if decision.reason == ASKED_AGAIN:
        return replace(decision, action="skip", reason="forbidden", remote="forbidden")
    return replace(decision, action="skip", reason=LATER)


def next_wave(span: Sequence[Decision], opened: Collection[date], asked: Collection[date]) -> list[Decision]:
    """What to ask next of a forbidden span: from each edge on as many again as have opened there, doubling.

    A plan that moved by one day costs a refused request or two; one that opened wholly is fetched in few waves.
    """
    return sorted(
        {d.session: d for side in (span, span[::-1]) for d in _inward(side, opened, asked)}.values(),
        key=lambda decision: decision.session,
    )


def _inward(side: Sequence[Decision], opened: Collection[date], asked: Collection[date]) -> list[Decision]:
    count = 0
    for decision in side:
        if decision.session not in asked:
            break
        if decision.session not in opened:
            return []
        count += 1
    return [decision for decision in side[count : 2 * count] if decision.session not in asked]
