"""One decision a session, with its reason: the table of DESIGN.md, row by row, and the model of a plan that rolls."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.manifest.records import Held
from ingest.plan import Decision, Plan, Wishes, make_plan, next_wave
from ingest.sources.base import RemoteObject

MONDAY = date(2024, 1, 8)
A, AB = frozenset({"AAPL"}), frozenset({"AAPL", "MSFT"})
WISHES = Wishes(AB, save_others=True)
DONE = Held("committed", "listed", etag="e1", tracked=AB, archive_kept=True)


def _item(day: date, etag: str = "e1", size: int = 100) -> RemoteObject:
    return RemoteObject(f"stocks/{day}.csv.gz", size, etag, "2024-01-09T05:00:00+00:00")


def _is_session(day: date) -> bool:
    return day.weekday() < 5


def _day(number: int) -> date:
    """Day `number` of a calendar without weekends, for tests that need many sessions."""
    return MONDAY + timedelta(days=number)


def _one(
    held: Held | None, wishes: Wishes = WISHES, etag: str | None = "e1", missing: Collection[date] = ()
) -> Decision:
    """The decision on a Monday of which this is held, and which is listed with this ETag if it is at all."""
    later = MONDAY + timedelta(days=30)
    listing = {later: _item(later)} | ({MONDAY: _item(MONDAY, etag)} if etag else {})
    plan = make_plan((MONDAY, MONDAY), listing, {MONDAY: held} if held else {}, _is_session, wishes, missing)
    (decision,) = plan.decisions
    return decision


def _forbidden(etag: str = "e1") -> Held:
    return Held("none", "forbidden", remote_etag=etag)


class TestOneSession:
    @pytest.mark.parametrize(
        ("held", "wishes", "etag", "action", "reason", "remote"),
        [
            (None, WISHES, "e1", "fetch", "new", "listed"),
            (DONE, WISHES, "e1", "skip", "committed", "listed"),
            (DONE, WISHES, "e2", "fetch", "new etag", "listed"),
            (DONE, replace(WISHES, refresh=True), "e1", "fetch", "refresh", "listed"),
            (replace(DONE, etag=None), WISHES, "e1", "fetch", "damaged", "listed"),
            # The lists and --save-others.
            (replace(DONE, tracked=A), WISHES, "e1", "skip", "committed", "listed"),
            (replace(DONE, archive_kept=False), WISHES, "e1", "fetch", "lacks archive", "listed"),
            (replace(DONE, archive_kept=False), Wishes(AB, False), "e1", "skip", "committed", "listed"),
            (replace(DONE, archive_kept=False), Wishes(A, False), "e1", "skip", "committed", "listed"),
            (DONE, Wishes(AB | {"IBM"}, False), "e1", "skip", "committed", "listed"),
            (replace(DONE, archive_kept=False, tracked=A), Wishes(AB, False), "e1", "fetch", "lacks MSFT", "listed"),
            (
                replace(DONE, archive_kept=False, tracked=frozenset()),
                Wishes(frozenset("EDCBA"), False),
                *("e1", "fetch", "lacks A, B, C and 2 more", "listed"),
            ),
            # 403 for a session: asked again, and one alone is its span's edge.
            (_forbidden(), WISHES, "e1", "fetch", "forbidden before, asked again", "forbidden"),
            (_forbidden(), WISHES, "e2", "fetch", "forbidden before, asked again", "listed"),
            # Unreadable twice.
            (Held("quarantined", "listed", "short", "e1"), WISHES, "e1", "skip", "quarantined", "listed"),
            (Held("quarantined", "listed", "short", "e1"), WISHES, "e2", "fetch", "new etag", "listed"),
            (
                Held("quarantined", "listed", "short", "e1"),
                replace(WISHES, refresh=True),
                *("e1", "fetch", "refresh", "listed"),
            ),
            # Errors past the retries.
            (Held("none", "failed", "reset", "e1"), WISHES, "e1", "fetch", "failed before", "failed"),
            (Held("none", "failed", "reset", "e1"), WISHES, "e2", "fetch", "failed before", "listed"),
            # Seen for the first time in a listing.
            (Held("none", "unpublished"), WISHES, "e1", "fetch", "new", "listed"),
            (Held("none", "absent"), WISHES, "e1", "fetch", "new", "listed"),
            (Held("none", "holiday"), WISHES, "e1", "fetch", "new", "listed"),
        ],
    )
    def test_a_listed_session(
        self, held: Held | None, wishes: Wishes, etag: str, action: str, reason: str, remote: str
    ) -> None:
        decision = _one(held, wishes, etag)
        assert (decision.action, decision.reason, decision.remote) == (action, reason, remote)
        assert decision.item == _item(MONDAY, etag)

    def test_a_session_whose_part_is_missing_is_fetched(self) -> None:
        assert _one(DONE, missing=[MONDAY]).reason == "missing part"
        assert _one(DONE, missing=[_day(1)]).reason == "committed"

    @pytest.mark.parametrize("remote", ["listed", "absent", "unpublished"])
    def test_an_unreadable_file_is_not_fetched_again_after_it_was_out_of_sight(self, remote: str) -> None:
        held = Held("quarantined", remote, None, "e1")  # type: ignore[arg-type]
        assert (_one(held, etag=None).action, _one(held, etag=None).remote) == ("skip", "absent")
        again = _one(held)
        assert (again.action, again.reason, again.remote) == ("skip", "quarantined", "listed")

    def test_a_session_that_was_gone_when_it_was_asked_for_is_listed_again(self) -> None:
        decision = _one(Held("none", "absent", "404", "e1"))
        assert (decision.action, decision.remote) == ("fetch", "listed")


class TestWhatIsHeldIsKept:
    """What was held is never given up for a 403, a vanished key or an unreadable replacement."""

    def test_a_replacement_that_was_unreadable_is_not_fetched_again(self) -> None:
        held = replace(DONE, remote_etag="e2", reason="short")
        assert (_one(held, etag="e2").action, _one(held, etag="e2").reason) == ("skip", "quarantined")
        assert _one(held, etag="e3").reason == "new etag"
        assert _one(held, etag="e1").reason == "committed"

    def test_a_replacement_that_failed_is_fetched_again(self) -> None:
        held = replace(DONE, remote="failed", remote_etag="e2", reason="reset")
        assert (_one(held, etag="e2").action, _one(held, etag="e2").reason) == ("fetch", "new etag")

    def test_a_replacement_that_is_forbidden_is_asked_for_again(self) -> None:
        held = replace(DONE, remote="forbidden", remote_etag="e2")
        assert (_one(held, etag="e2").action, _one(held, etag="e2").remote) == ("fetch", "forbidden")

    @pytest.mark.parametrize("remote", ["listed", "forbidden", "absent", "failed"])
    def test_a_vanished_key_changes_nothing(self, remote: str) -> None:
        decision = _one(replace(DONE, remote=remote), etag=None)  # type: ignore[arg-type]
        assert (decision.action, decision.reason, decision.remote) == ("skip", "committed", "absent")
        assert decision.held.held == "committed"

    def test_what_is_forbidden_now_and_was_fetched_before_is_not_asked_for(self) -> None:
        held = replace(DONE, remote="forbidden", remote_etag="e1")
        assert (_one(held).action, _one(held).reason) == ("skip", "committed")

    @given(
        st.frozensets(st.sampled_from("ABCD")),
        st.frozensets(st.sampled_from("ABCD")),
        *[st.booleans()] * 4,
        st.sampled_from(["e1", "e2"]),
    )
    def test_a_session_is_never_split_with_less_than_is_held_of_it(
        self, held: frozenset[str], wanted: frozenset[str], kept: bool, save: bool, refresh: bool, gone: bool, etag: str
    ) -> None:
        state = replace(DONE, tracked=held, archive_kept=kept)
        decision = _one(state, Wishes(wanted, save, refresh), etag, [MONDAY] if gone else [])
        assert decision.tracked == held | wanted
        assert decision.keep_rest is (kept or save)
        satisfied = kept or (not save and wanted <= held)
        assert (decision.action == "skip") is (satisfied and not refresh and not gone and etag == "e1")


class TestNotListed:
    def _plan(self, listed: Iterable[int], held: Mapping[int, Held] | None = None) -> dict[int, Decision]:
        plan = make_plan(
            window=(MONDAY, _day(13)),
            listing={_day(n): _item(_day(n)) for n in listed},
            held={_day(n): state for n, state in (held or {}).items()},
            is_session=lambda day: _is_session(day) and day != _day(2),
            wishes=WISHES,
        )
        return {(decision.session - MONDAY).days: decision for decision in plan.decisions}

    def test_a_session_after_the_last_listed_is_unpublished_and_before_it_absent(self) -> None:
        decisions = self._plan([0, 3, 7])
        assert {n: d.reason for n, d in decisions.items()} == {
            0: "new",
            1: "absent",
            2: "holiday",
            3: "new",
            4: "absent",
            7: "new",
            **dict.fromkeys([8, 9, 10, 11], "unpublished"),
        }
        assert {d.remote for d in decisions.values() if d.action == "fetch"} == {"listed"}
        assert all(d.reason == d.remote and d.item is None for d in decisions.values() if d.action == "skip")

    def test_the_last_listed_counts_beyond_the_window(self) -> None:
        plan = make_plan((MONDAY, MONDAY), {_day(1): _item(_day(1))}, {}, _is_session, WISHES)
        assert [decision.remote for decision in plan.decisions] == ["absent"]
        plan = make_plan((_day(1), _day(1)), {MONDAY: _item(MONDAY)}, {}, _is_session, WISHES)
        assert [decision.remote for decision in plan.decisions] == ["unpublished"]

    def test_with_an_empty_listing_all_is_unpublished(self) -> None:
        assert Counter(d.reason for d in self._plan([]).values()) == {"unpublished": 9, "holiday": 1}

    def test_what_is_listed_is_fetched_though_the_calendar_knows_no_session(self) -> None:
        decisions = self._plan([2, 5])
        assert [decisions[n].action for n in (2, 5)] == ["fetch", "fetch"]

    def test_what_is_held_has_a_reason_though_the_calendar_knows_no_session(self) -> None:
        decisions = self._plan([12], {2: DONE, 5: DONE})
        assert [(decisions[n].reason, decisions[n].remote) for n in (2, 5)] == [("committed", "holiday")] * 2

    def test_an_earlier_failure_does_not_make_an_unlisted_session_a_fetch(self) -> None:
        decisions = self._plan([12], {0: Held("none", "failed", "reset", "e1"), 1: _forbidden()})
        assert [(decisions[n].action, decisions[n].remote) for n in (0, 1)] == [("skip", "absent")] * 2


class TestAPlan:
    states = st.sampled_from(
        [
            *(None, DONE, replace(DONE, archive_kept=False), replace(DONE, etag=None), _forbidden(), _forbidden("e0")),
            *(Held("quarantined", "listed", "short", "e1"), Held("none", "failed", "reset", "e1")),
            *(replace(DONE, etag="e0", remote="forbidden", remote_etag="e1"), Held("none", "absent", "404", "e1")),
            Held("none", "absent"),
        ]
    )

    @given(
        st.lists(st.tuples(states, st.booleans(), st.booleans()), min_size=1, max_size=20), st.booleans(), st.booleans()
    )
    def test_every_session_has_one_decision_and_its_reason_by_date(
        self, days: list[tuple[Held | None, bool, bool]], refresh: bool, save: bool
    ) -> None:
        listing = {_day(n): _item(_day(n)) for n, (_, listed, _) in enumerate(days) if listed}
        held = {_day(n): state for n, (state, _, _) in enumerate(days) if state}
        sessions = {_day(n) for n, (_, _, session) in enumerate(days) if session}
        window = (MONDAY, _day(len(days) - 1))
        plan = make_plan(window, listing, held, sessions.__contains__, Wishes(AB, save, refresh))
        seen = [decision.session for decision in plan.decisions]
        assert seen == sorted(set(seen))
        assert sessions | listing.keys() | held.keys() <= set(seen)
        assert all(decision.reason for decision in plan.decisions)
        assert [d.session for d in plan.fetches] == sorted(d.session for d in plan.fetches)
        assert {d.session for d in plan.fetches} <= listing.keys()
        assert plan.bytes == 100 * len(plan.fetches)
        assert sum(plan.reasons().values()) == len(plan.decisions)
        for decision in plan.decisions:
            nowhere = {"unpublished", "absent", "holiday"}
            assert (decision.remote in nowhere) is (decision.session not in listing)
            assert decision.held == held.get(decision.session, Held())

    def test_days_outside_the_window_are_left_alone(self) -> None:
        everything = {_day(n): _item(_day(n)) for n in range(10)}
        plan = make_plan((_day(2), _day(3)), everything, {_day(9): _forbidden()}, _is_session, WISHES)
        assert [decision.session for decision in plan.decisions] == [_day(2), _day(3)]

    def test_what_is_fetched_comes_first_among_the_reasons(self) -> None:
        plan = make_plan(
            (MONDAY, _day(2)),
            {_day(n): _item(_day(n)) for n in range(3)},
            {_day(0): DONE, _day(1): replace(DONE, etag="e0")},
            _is_session,
            WISHES,
        )
        assert list(plan.reasons().items()) == [("fetch: new etag", 1), ("fetch: new", 1), ("skip: committed", 1)]


def _plan(held: Mapping[int, Held], count: int, unlisted: Collection[int] = (), refresh: bool = False) -> Plan:
    """A plan for `count` days, all of them sessions and listed but for `unlisted`, which are holidays."""
    return make_plan(
        window=(_day(0), _day(count - 1)),
        listing={_day(n): _item(_day(n)) for n in range(count) if n not in unlisted},
        held={_day(n): state for n, state in held.items()},
        is_session=lambda day: (day - MONDAY).days not in unlisted,
        wishes=replace(WISHES, refresh=refresh),
    )


def _asked(decisions: Iterable[Decision]) -> list[int]:
    return [(decision.session - MONDAY).days for decision in decisions]


class TestForbiddenSpans:
    @pytest.mark.parametrize("refresh", [False, True])
    def test_only_the_edges_are_asked(self, refresh: bool) -> None:
        plan = _plan({n: _forbidden() for n in range(10)}, 10, refresh=refresh)
        assert _asked(plan.fetches) == [0, 9]
        assert {d.reason for d in plan.fetches} == {"forbidden before, asked again"}
        inside = [d for d in plan.decisions if d.action == "skip"]
        assert {(d.reason, d.remote) for d in inside} == {("forbidden", "forbidden")}
        assert len(inside) == 8

    def test_a_holiday_does_not_interrupt_a_span(self) -> None:
        plan = _plan({n: _forbidden() for n in range(10) if n not in (3, 4)}, 10, unlisted=(3, 4))
        assert _asked(plan.fetches) == [0, 9]
        assert [d.reason for d in plan.decisions][3:5] == ["holiday", "holiday"]

    def test_a_session_that_is_held_parts_two_spans_since_beside_it_the_next_one_opens(self) -> None:
        plan = _plan({n: _forbidden() for n in range(10)} | {4: DONE}, 10)
        assert [_asked(span) for span in plan.spans] == [[0, 1, 2, 3], [5, 6, 7, 8, 9]]
        assert _asked(plan.fetches) == [0, 3, 5, 9]
        assert plan.decisions[4].reason == "committed"

    def test_a_new_session_is_fetched_beside_a_span(self) -> None:
        plan = _plan({n: _forbidden() for n in range(5)}, 7)
        assert _asked(plan.fetches) == [0, 4, 5, 6]
        assert [_asked(span) for span in plan.spans] == [[0, 1, 2, 3, 4]]

    @pytest.mark.parametrize("replaced", [False, True])
    def test_both_ends_of_a_window_may_be_forbidden_and_what_is_held_is_between_them(self, replaced: bool) -> None:
        held = dict.fromkeys((0, 1, 2, 7, 8, 9), _forbidden()) | dict.fromkeys((3, 4, 5, 6), DONE)
        if replaced:
            held[4] = replace(DONE, etag="e0")
        assert _asked(_plan(held, 10).fetches) == [0, 2, *([4] if replaced else []), 7, 9]

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_a_short_span_is_asked_at_its_edges(self, count: int) -> None:
        plan = _plan({n: _forbidden() for n in range(count)}, count)
        assert _asked(plan.fetches) == sorted({0, count - 1})

    def test_a_held_session_inside_a_span_is_said_to_be_held(self) -> None:
        stale = replace(DONE, etag="e0", remote="forbidden", remote_etag="e1")
        plan = _plan({n: _forbidden() for n in range(5)} | {2: stale}, 5)
        assert plan.decisions[2].action == "skip"
        assert plan.decisions[2].reason == "committed"


def _waves(span: tuple[Decision, ...], permitted: Collection[int]) -> list[list[int]]:
    """What is asked of a span until there is nothing more to ask, wave by wave."""
    asked = {span[0].session, span[-1].session}
    waves = [_asked(sorted({span[0].session: span[0], span[-1].session: span[-1]}.values(), key=lambda d: d.session))]
    while True:
        opened = {day for day in asked if (day - MONDAY).days in permitted}
        wave = next_wave(span, opened, asked)
        if not wave:
            return waves
        assert not asked & {decision.session for decision in wave}, "asked twice"
        asked |= {decision.session for decision in wave}
        waves.append(_asked(wave))


class TestWaves:
    def _span(self, count: int) -> tuple[Decision, ...]:
        (span,) = _plan({n: _forbidden() for n in range(count)}, count).spans
        return span

    def test_a_closed_span_costs_two_requests(self) -> None:
        assert _waves(self._span(100), ()) == [[0, 99]]

    def test_a_plan_that_moved_by_a_day_costs_two_refusals(self) -> None:
        assert _waves(self._span(100), {99}) == [[0, 99], [98]]
        assert _waves(self._span(100), {0}) == [[0, 99], [1]]

    def test_after_a_refusal_nothing_more_is_asked_on_that_side(self) -> None:
        assert _waves(self._span(100), {0, 1, 2}) == [[0, 99], [1], [2, 3]]
        assert _waves(self._span(100), {97, 98, 99}) == [[0, 99], [98], [96, 97]]

    def test_a_span_that_opened_wholly_is_fetched_in_few_waves(self) -> None:
        waves = _waves(self._span(500), range(500))
        assert sorted(n for wave in waves for n in wave) == list(range(500))
        assert len(waves) <= 10

    @given(st.integers(1, 150), st.integers(0, 150), st.integers(0, 150))
    def test_all_that_opened_is_fetched_and_refusals_stay_in_proportion(self, count: int, old: int, new: int) -> None:
        permitted = {n for n in range(count) if n < old or n >= count - new}
        waves = _waves(self._span(count), permitted)
        asked = [n for wave in waves for n in wave]
        assert len(asked) == len(set(asked))
        assert permitted <= set(asked)
        assert len(set(asked) - permitted) <= max(2, len(permitted) + 1)
        assert all(wave == sorted(wave) for wave in waves)

    @given(st.integers(1, 60), st.frozensets(st.integers(0, 59)))
    def test_whatever_is_permitted_waves_end_and_nothing_is_asked_twice(
        self, count: int, permitted: frozenset[int]
    ) -> None:
        waves = _waves(self._span(count), permitted)
        asked = {n for wave in waves for n in wave}
        assert asked <= set(range(count))
        from_left = next((n for n in range(count) if n not in permitted), count)
        from_right = next((n for n in range(count) if count - 1 - n not in permitted), count)
        assert set(range(from_left)) | set(range(count - from_right, count)) <= asked

    def test_an_edge_that_was_not_reached_asks_nothing_more(self) -> None:
        span = self._span(10)
        assert next_wave(span, opened=(), asked=()) == []
        assert _asked(next_wave(span, opened={_day(0)}, asked={_day(0)})) == [1]


class TestARollingPlan:
    """A model: day by day files appear, the permission window moves, and runs happen on some of the days.

    The window begins with one session at least, and moves so that it always touches what was permitted before.
    """

    @given(
        start=st.integers(0, 15),
        length=st.integers(1, 40),
        runs=st.lists(st.tuples(st.integers(1, 6), st.integers(-6, 12), st.integers(-3, 12)), min_size=1, max_size=8),
        holidays=st.frozensets(st.integers(0, 60), max_size=8),
    )
    def test_after_each_run_all_that_is_permitted_is_held(
        self, start: int, length: int, runs: list[tuple[int, int, int]], holidays: frozenset[int]
    ) -> None:
        holidays -= {start}
        held: dict[int, Held] = {}
        published, first, last = 30, start, start + length
        for new_files, opened_at_start, opened_at_end in runs:
            plan = _plan(held, published, holidays)
            fresh = sum(decision.reason == "new" for decision in plan.fetches)
            opened, refused = self._run(plan, held, range(first, last))
            permitted = {n for n in range(first, min(last, published)) if n not in holidays}
            assert permitted <= {n for n, state in held.items() if state.held == "committed"}
            assert refused <= 2 * len(plan.spans) + opened + fresh
            again = _plan(held, published, holidays)
            assert {decision.held.remote for decision in again.fetches} <= {"forbidden"}
            assert len(again.fetches) <= 4
            published += new_files
            first, last = max(0, min(first - opened_at_start, last)), max(first + 1, last + opened_at_end)

    def _run(self, plan: Plan, held: dict[int, Held], permitted: range) -> tuple[int, int]:
        """Do as `runs` does: fetch the plan, then wave after wave; returns how many opened and were refused."""
        wave, asked, opened = list(plan.fetches), set[date](), set[date]()
        while wave:
            for decision in wave:
                number = (decision.session - MONDAY).days
                asked.add(decision.session)
                if number in permitted:
                    opened.add(decision.session)
                    held[number] = DONE
                else:
                    held[number] = _forbidden()
            wave = [more for span in plan.spans for more in next_wave(span, opened, asked)]
        return len(opened), len(asked - opened)
