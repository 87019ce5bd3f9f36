"""Which sessions the subscription allows: one span of dates, learned from answers. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from ingest.market.calendars import months_back
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import Plans

REFUSED = "outside your subscription or its history, not published yet, or missing a signed exchange agreement"
"""What the vendor's 403 may mean."""

_NEAR = timedelta(days=10)
"""How far a floor may be from whole years, because of holidays, or a subscription that counts its days otherwise."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Sessions from `first` to `last` are allowed; those up to `below` and those from `above` on are refused.

    Permission between these is unknown. If nothing was found that is allowed, `first` and `last` are None, and
    everything counts as refused once `below` and `above` are known. A subscription allows a span that reaches back from
    today, so its floor rolls forward; some subscriptions lack the newest days.
    """

    first: date | None = None
    last: date | None = None
    below: date | None = None
    above: date | None = None

    def __str__(self) -> str:
        """The span in words, as far as its edges are known."""
        if self.first is None or self.last is None:
            return "nothing" if self.below or self.above else "what was not asked yet"
        if self.below is None:
            return f"at least {self.first} to {self.last}" if self.above is None else f"sessions up to {self.last}"
        return f"sessions from {self.first} on" if self.above is None else f"{self.first} to {self.last}"

    def allows(self, session: date) -> bool | None:
        """Whether a session is allowed; None if that is unknown."""
        if self.first and self.last and self.first <= session <= self.last:
            return True
        if (self.below and session <= self.below) or (self.above and session >= self.above):
            return False
        return None

    def lost(self, held: Sequence[date]) -> Sequence[date]:
        """The stored sessions that the floor has rolled past: they cannot be downloaded again."""
        below = self.below
        return [day for day in held if day <= below] if self.first and below else []

    def found(self, answers: Mapping[date, bool]) -> "Permission":
        """The span after a search, which finds the edges among the sessions that it looked at.

        Outside these, the earlier knowledge stays. Without any answer, all of it stays.
        """
        allowed = [day for day, yes in answers.items() if yes]
        refused = [day for day, yes in answers.items() if not yes]
        if not allowed:
            return Permission(below=max(refused), above=min(refused)) if refused else self
        below = max((day for day in refused if day < min(allowed)), default=None)
        above = min((day for day in refused if day > max(allowed)), default=None)
        return self._beyond(Permission(min(allowed), max(allowed), below, above))

    def _beyond(self, found: "Permission") -> "Permission":
        """A search result, and the earlier knowledge older than its oldest and newer than its newest answer."""
        if not (self.first and self.last and found.first and found.last):
            return found
        older = self.first < found.first and not (found.below and found.below >= self.first)
        newer = self.last > found.last and not (found.above and found.above <= self.last)
        first, last = self.first if older else found.first, self.last if newer else found.last
        below = found.below or (self.below if self.below and self.below < first else None)
        above = found.above or (self.above if self.above and self.above > last else None)
        return Permission(first, last, below, above)

    def learn(self, allowed: Collection[date], refused: Collection[date]) -> "Permission":
        """The span after answers to ordinary requests for sessions.

        A refusal inside the allowed span may concern only that file, so it changes nothing; whether an edge has moved
        is probed at the edges (`ingest.planning.probing`).
        """
        span = self._widened(allowed)
        for session in refused:
            span = span._narrowed(session)
        return span

    def _widened(self, allowed: Collection[date]) -> "Permission":
        if not allowed:
            return self
        if self.first is None or self.last is None:
            return Permission(min(allowed), max(allowed))
        first, last = min(self.first, *allowed), max(self.last, *allowed)
        below = self.below if self.below and self.below < first else None
        above = self.above if self.above and self.above > last else None
        return Permission(first, last, below, above)

    def _narrowed(self, session: date) -> "Permission":
        below, above = max(self.below or session, session), min(self.above or session, session)
        if self.first is None or self.last is None:
            return Permission(below=below, above=above)
        if session < self.first:
            return replace(self, below=below)
        return replace(self, above=above) if session > self.last else self


def plan_name(permission: Permission, today: date, oldest_listed: date, plans: Plans = STOCKS_DAY.plans) -> str:
    """Which of the vendor's subscriptions this looks like, in words; `today` is New York's."""
    if permission.first is None:
        return "nothing is allowed: a subscription without flat files (Basic), or keys of another product"
    reach = _reach(permission, permission.first, today, oldest_listed, plans)
    return reach if permission.above is None else f"{reach}, without the newest files"


def _reach(permission: Permission, first: date, today: date, oldest_listed: date, plans: Plans) -> str:
    if first <= oldest_listed:
        return "all that is listed" + (", as Advanced and Business have it" if plans else "")
    if permission.below is None:
        return f"from {first} on at least"
    for years, name in plans:
        if abs(months_back(today, 12 * years) - first) <= _NEAR:
            return f"{years} years back, as {name} has it"
    return f"{(today - first).days / 365.25:.1f} years back, which matches no known subscription"


def only_copies(lost: Sequence[date], permission: Permission) -> str:
    """The warning about stored sessions that the subscription no longer allows."""
    which = f"{len(lost):,} stored sessions ({min(lost)} to {max(lost)}) can no longer be downloaded; back them up"
    if len(lost) == 1:
        which = f"the stored session {lost[0]} can no longer be downloaded; back it up"
    return f"your subscription now starts at {permission.first}: {which}"
