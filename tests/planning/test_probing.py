"""Night after night with plans that roll, lapse and change, and single files in trouble, against a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.market.permission import Permission
from ingest.planning.probing import current
from ingest.sources.base import RemoteObject

EPOCH = date(2025, 1, 1)
DAYS = [EPOCH + timedelta(days=n) for n in range(400)]
SEARCH_FROM = 8


@dataclass
class Source:
    """What the keys may read: days from `floor` up to `end`, but for single files in trouble (refused or silent)."""

    floor: int = 0
    end: int = 0
    trouble: Mapping[int, bool | None] = field(default_factory=dict)
    asked: int = 0

    async def may_read(self, session: date, item: RemoteObject) -> bool | None:
        await anyio.lowlevel.checkpoint()
        self.asked += 1
        return self.answer(DAYS.index(session))

    def answer(self, number: int) -> bool | None:
        return self.trouble.get(number, True) if self.floor <= number < self.end else False


@dataclass
class Cache:
    """What a nightly run does with the answers, as `survey` and `runs` do it."""

    known: Permission = field(default_factory=Permission)
    held: set[int] = field(default_factory=set)

    def night(self, source: Source, first: int, listed: int) -> None:
        window = range(first, listed)
        unknown = [n for n in window if n not in self.held and self.known.allows(DAYS[n]) is None]
        items = {DAYS[n]: RemoteObject(str(n), 0, "", "") for n in {*window, *self.held}}
        if self.known != Permission() or self.held or len(unknown) > SEARCH_FROM:
            self.known = anyio.run(current, source, items, self.known, len(unknown) > SEARCH_FROM)
        fetched = [n for n in window if n not in self.held and self.known.allows(DAYS[n]) is not False]
        answers = {n: source.answer(n) for n in fetched}
        self.held |= {n for n, answer in answers.items() if answer}
        refused = [DAYS[n] for n, answer in answers.items() if answer is False]
        self.known = self.known.learn([DAYS[n] for n, answer in answers.items() if answer], refused)


NIGHTS = st.lists(
    st.tuples(
        st.integers(0, 4),  # files published
        st.integers(-5, 5),  # the floor moves
        st.sampled_from([0, 0, 0, 1, 3]),  # the newest days that are missing
        st.sampled_from([False, False, False, False, True]),  # the keys have lapsed
        st.dictionaries(st.integers(0, 60), st.sampled_from([False, None]), max_size=1),  # trouble, in tens of files
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300)
@given(st.integers(30, 120), st.integers(0, 20), NIGHTS, st.sampled_from([1, 5, 400]))
def test_all_that_is_allowed_is_held_after_two_nights_and_nothing_is_lost_that_is_not(
    listed: int, floor: int, nights: list[tuple[int, int, int, bool, dict[int, bool | None]]], window: int
) -> None:
    cache = Cache()
    for published, rolls, missing, lapsed, trouble in nights:
        listed, floor = listed + published, max(0, floor + rolls)
        end = 0 if lapsed else listed - missing
        source = Source(floor, end, {7 * n: answer for n, answer in trouble.items()})
        held = set(cache.held)
        for _ in range(2):
            cache.night(source, max(0, listed - window), listed)
        assert held <= cache.held
        wanted = {n for n in range(max(0, listed - window), listed) if source.answer(n)}
        if window > 5:
            assert wanted <= cache.held
        lost = {DAYS.index(day) for day in cache.known.lost([DAYS[n] for n in sorted(cache.held)])}
        assert {n for n in lost if source.answer(n)} == set()
        if end - floor > 30:
            assert {n for n in cache.held if n < floor} <= lost


@given(st.integers(30, 300), st.integers(0, 29), st.integers(0, 5))
def test_a_night_without_news_asks_few_and_changes_nothing(listed: int, floor: int, missing: int) -> None:
    cache, source = Cache(), Source(floor, listed - missing)
    for _ in range(2):
        cache.night(source, 0, listed)
    before, source.asked = cache.known, 0
    cache.night(source, 0, listed)
    assert (cache.known, source.asked <= 7) == (before, True)
