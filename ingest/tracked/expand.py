"""Expands the patterns of the lists to the matching tickers of stored sessions.

A pattern that is new in the lists is matched against all sessions, by reading the parts and members that may contain a
match; after that, only against sessions that no projection has seen. So a run's work depends on what is new.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from ingest.cache.cache import Cache, Layout
from ingest.cache.layout import MemberIndex, PartsOf
from ingest.cache.parts.ahead import read_ahead
from ingest.market.datasets import TIERS, Tier
from ingest.market.patterns import covered, matching, patterns_in, prefix_of, some, written

_MANY = 1000
"""More CSVs of one pattern than this may be more than the user meant."""

_EACH = 5
"""Up to this many new patterns are reported one by one."""

_MEMBERS = 256
"""Members unpacked at once, of some 32 KB of text each."""


@dataclass(frozen=True, slots=True)
class Followed:
    """The tickers that have a CSV now.

    `matched` counts those of each pattern that is new in the lists. `unnameable` are tickers that match one and whose
    file name would be too long.
    """

    tickers: frozenset[str]
    matched: Mapping[str, int] = field(default_factory=dict)
    unnameable: tuple[str, ...] = ()

    def notices(self) -> Iterator[tuple[str, bool]]:
        """Messages about new patterns, each with whether it is a warning."""
        if without := [pattern for pattern, count in self.matched.items() if not count]:
            yield (
                f"no stored session contains a ticker that matches {some(without)}. A pattern matches whole tickers",
                True,
            )
        found = {pattern: count for pattern, count in self.matched.items() if count}
        if len(found) > _EACH:
            found = {f"{len(found):,} patterns": sum(found.values())}
        for name, count in found.items():
            what = written(name)
            tickers = "ticker that matches has" if count == 1 else "tickers that match have"
            yield f"{what}: {count:,} {tickers} a CSV each", count >= _MANY
        if self.unnameable:
            yield f"too long for a file name, so without a CSV: {some([one[:40] for one in self.unnameable])}", True


def follow(cache: Cache, names: Iterable[str]) -> Followed:
    """Make tickers and all that match these patterns the ones that are tracked. Raises CacheError.

    A ticker that was found once stays tracked as long as a pattern matches it, whatever later sessions contain.
    """
    wanted, manifest = frozenset(names), cache.manifest
    patterns, resolved = patterns_in(wanted), manifest.csvs.patterns()
    known = covered(patterns, frozenset(manifest.csvs.states())) if patterns else frozenset()
    found = _resolve(cache, patterns, patterns - resolved) - known if patterns else frozenset()
    unnameable = frozenset(ticker for ticker in found if cache.dataset.csv_name(ticker) is None)
    tickers = (wanted - patterns) | known | (found - unnameable)
    manifest.csvs.follow(tickers)
    # After the tickers: after a kill in between, the next run only matches the patterns again.
    if patterns != resolved and manifest.sessions.committed():
        manifest.csvs.remember_patterns(patterns)
    ordered = sorted(tickers) if patterns - resolved else []
    matched = {one: len(matching(one, ordered)) for one in sorted(patterns - resolved)}
    return Followed(tickers, matched, tuple(sorted(unnameable)))


def _resolve(cache: Cache, patterns: frozenset[str], new: frozenset[str]) -> frozenset[str]:
    """Tickers that match, of sessions that no projection has seen, and for `new` patterns of all others."""
    manifest = cache.manifest
    pending = manifest.sessions.pending()
    seen = set(manifest.sessions.committed()) - pending if new else set[date]()
    found = set[str]()
    for sessions, looked_for in ((pending, patterns), (seen, new)):
        matching_in = partial(found_in, cache, patterns=looked_for)
        found.update(*read_ahead(matching_in, manifest.sessions.parts(sessions), cache.parts.ahead, _weight))
    return frozenset(found)


def _weight(parts: PartsOf) -> int:
    """Bytes of a session's parts that are in memory at once, at most."""
    return sum(index.offsets[min(_MEMBERS, len(index.offsets) - 1)] for index in parts.index.values())


def found_in(layout: Layout, parts: PartsOf, patterns: frozenset[str]) -> set[str]:
    """Tickers of a session that match; the lists that split it decide which parts to read. Raises CacheError."""
    found = set[str]()
    for tier in TIERS:
        looked_for = patterns if tier == "tracked" else patterns - covered(parts.tracked, patterns)
        if looked_for and tier in parts.index:
            found |= _matching(layout, parts, tier, looked_for)
    return found


def _matching(layout: Layout, parts: PartsOf, tier: Tier, patterns: frozenset[str]) -> set[str]:
    """Tickers of one part that match, read some members at a time: a part may have gigabytes of text."""
    from ingest.cache.parts.lines import tickers_of
    from ingest.cache.parts.parts import read_members
    from ingest.splitting.parsing import is_tracked  # polars and numpy, which a run with nothing to do does not import

    part, index, found = parts.key(tier), parts.index[tier], set[str]()
    for members in _some_members(parts, index, patterns):
        names = tickers_of(read_members(layout.parts, part, index, members), parts.columns)
        found.update(name for name in names.filter(is_tracked(patterns)).to_series().unique() if name)
    return found


def _some_members(parts: PartsOf, index: MemberIndex, patterns: frozenset[str]) -> Iterator[Sequence[int]]:
    members = sorted({member for pattern in patterns for member in index.beginning(prefix_of(pattern))})
    # In a part that is not cut by lines, a row may continue in the next member.
    size = _MEMBERS if parts.cut == "lines" else max(1, len(members))
    return (members[at : at + size] for at in range(0, len(members), size))
