"""One decision a session, with its reason: the table of DESIGN.md, row by row, and the model of a plan that rolls."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cache.manifest.records import Held
from ingest.market.permission import Permission
from ingest.planning.plan import Decision, Plan, Stored, Wanted, limit, make_plan
from ingest.sources.base import RemoteObject

MONDAY = date(2024, 1, 8)
A, AB = frozenset({"AAPL"}), frozenset({"AAPL", "MSFT"})
WISHES = Wanted(AB, save_others=True)
DONE = Held("committed", "listed", etag="e1", tracked=AB, archive_kept=True)


def _item(day: date, etag: str = "e1", size: int = 100) -> RemoteObject:
    return RemoteObject(f"stocks/{day}.csv.gz", size, etag, "2024-01-09T05:00:00+00:00")


def _is_session(day: date) -> bool:
    return day.weekday() < 5


def _day(number: int) -> date:
    """Day `number` of a calendar without weekends, for tests that need many sessions."""
    return MONDAY + timedelta(days=number)


def _one(
    held: Held | None, wishes: Wanted = WISHES, etag: str | None = "e1", missing: Collection[date] = ()
) -> Decision:
    """The decision on a Monday of which this is held, and which is listed with this ETag if it is at all."""
    later = MONDAY + timedelta(days=30)
    listing = {later: _item(later)} | ({MONDAY: _item(MONDAY, etag)} if etag else {})
    plan = make_plan((MONDAY, MONDAY), listing, Stored({MONDAY: held} if held else {}, missing), _is_session, wishes)
    (decision,) = plan.decisions
    return decision


REFUSED = Held("quarantined", "listed", "short", "e1", quarantined="e1")


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
            (replace(DONE, archive_kept=False), Wanted(AB, False), "e1", "skip", "committed", "listed"),
            (replace(DONE, archive_kept=False), Wanted(A, False), "e1", "skip", "committed", "listed"),
            (DONE, Wanted(AB | {"IBM"}, False), "e1", "skip", "committed", "listed"),
            (replace(DONE, archive_kept=False, tracked=A), Wanted(AB, False), "e1", "fetch", "lacks MSFT", "listed"),
            (
                replace(DONE, archive_kept=False, tracked=frozenset()),
                Wanted(frozenset("EDCBA"), False),
                *("e1", "fetch", "lacks A, B, C and 2 more", "listed"),
            ),
            # 403 for a session of which no more is known.
            (_forbidden(), WISHES, "e1", "fetch", "refused before", "forbidden"),
            (_forbidden(), WISHES, "e2", "fetch", "refused before", "listed"),
            # Unreadable twice.
            (
                REFUSED,
                WISHES,
                "e1",
                "skip",
                "quarantined",
                "listed",
            ),
            (
                REFUSED,
                WISHES,
                "e2",
                "fetch",
                "new etag",
                "listed",
            ),
            (
                REFUSED,
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
        self, held: Held | None, wishes: Wanted, etag: str, action: str, reason: str, remote: str
    ) -> None:
        decision = _one(held, wishes, etag)
        assert (decision.action, decision.reason, decision.remote) == (action, reason, remote)
        assert decision.item == _item(MONDAY, etag)

    def test_a_session_whose_part_is_missing_is_fetched(self) -> None:
        assert _one(DONE, missing=[MONDAY]).reason == "missing part"
        assert _one(DONE, missing=[_day(1)]).reason == "committed"

    @pytest.mark.parametrize("remote", ["listed", "absent", "unpublished"])
    def test_an_unreadable_file_is_not_fetched_again_after_it_was_out_of_sight(self, remote: str) -> None:
        held = Held("quarantined", remote, None, "e1", quarantined="e1")  # type: ignore[arg-type]
        assert (_one(held, etag=None).action, _one(held, etag=None).remote) == ("skip", "absent")
        again = _one(held)
        assert (again.action, again.reason, again.remote) == ("skip", "quarantined", "listed")

    def test_a_session_that_was_gone_when_it_was_asked_for_is_listed_again(self) -> None:
        decision = _one(Held("none", "absent", "404", "e1"))
        assert (decision.action, decision.remote) == ("fetch", "listed")


class TestWhatIsHeldIsKept:
    """What was held is never given up for a 403, a vanished key or an unreadable replacement."""

    def test_a_replacement_that_was_unreadable_is_not_fetched_again(self) -> None:
        held = replace(DONE, remote_etag="e2", reason="short", quarantined="e2")
        assert (_one(held, etag="e2").action, _one(held, etag="e2").reason) == ("skip", "quarantined")
        assert _one(held, etag="e3").reason == "new etag"
        assert _one(held, etag="e1").reason == "committed"

    @pytest.mark.parametrize(
        ("held", "reason"),
        [
            (replace(REFUSED, dismissed=True), "dismissed"),
            (replace(DONE, quarantined="e2", dismissed=True), "dismissed"),
            (replace(DONE, quarantined="e2", dismissed=True, etag="e2"), "committed"),  # without its bad rows
            (replace(DONE, quarantined="e2", dismissed=True, etag="e2", archive_kept=False), "dismissed"),
            (replace(DONE, quarantined="e2", dismissed=True, etag=None), "damaged"),
            (replace(DONE, quarantined="e2", etag=None), "quarantined"),
        ],
        ids=["new", "a replacement", "stored in part", "stored in part, without the rest", "damaged", "not dismissed"],
    )
    def test_what_was_dismissed_is_skipped_and_hides_no_damage(self, held: Held, reason: str) -> None:
        held = replace(held, quarantined="e2")
        decision = _one(held, etag="e2")
        assert (decision.action, decision.reason) == ("skip", reason)
        assert _one(held, etag="e3").action == "fetch"

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
        decision = _one(state, Wanted(wanted, save, refresh), etag, [MONDAY] if gone else [])
        assert decision.tracked == held | wanted
        assert decision.keep_rest is (kept or save)
        satisfied = kept or (not save and wanted <= held)
        assert (decision.action == "skip") is (satisfied and not refresh and not gone and etag == "e1")


class TestNotListed:
    def _plan(self, listed: Iterable[int], held: Mapping[int, Held] | None = None) -> dict[int, Decision]:
        plan = make_plan(
            window=(MONDAY, _day(13)),
            listing={_day(n): _item(_day(n)) for n in listed},
            stored=Stored({_day(n): state for n, state in (held or {}).items()}),
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
        plan = make_plan((MONDAY, MONDAY), {_day(1): _item(_day(1))}, Stored({}), _is_session, WISHES)
        assert [decision.remote for decision in plan.decisions] == ["absent"]
        plan = make_plan((_day(1), _day(1)), {MONDAY: _item(MONDAY)}, Stored({}), _is_session, WISHES)
        assert [decision.remote for decision in plan.decisions] == ["unpublished"]

    def test_with_an_empty_listing_all_is_unpublished(self) -> None:
        assert Counter(d.reason for d in self._plan([]).values()) == {"unpublished": 9, "holiday": 1}

    def test_what_is_listed_is_fetched_though_the_calendar_knows_no_session(self) -> None:
        decisions = self._plan([2, 5])
        assert [decisions[n].action for n in (2, 5)] == ["fetch", "fetch"]

    def test_what_is_held_has_a_reason_though_the_calendar_knows_no_session(self) -> None:
        decisions = self._plan([12], {2: DONE, 5: DONE})
        assert [(decisions[n].reason, decisions[n].remote) for n in (2, 5)] == [("committed", "holiday")] * 2

    def test_a_holiday_on_any_weekday_has_its_reason(self) -> None:
        plan = make_plan((MONDAY, _day(6)), {_day(30): _item(_day(30))}, Stored({}), lambda day: False, WISHES)
        assert [one.session for one in plan.decisions] == [_day(n) for n in range(5)]
        assert {one.reason for one in plan.decisions} == {"holiday"}

    def test_an_earlier_failure_does_not_make_an_unlisted_session_a_fetch(self) -> None:
        decisions = self._plan([12], {0: Held("none", "failed", "reset", "e1"), 1: _forbidden()})
        assert [(decisions[n].action, decisions[n].remote) for n in (0, 1)] == [("skip", "absent")] * 2


class TestAPlan:
    states = st.sampled_from(
        [
            *(None, DONE, replace(DONE, archive_kept=False), replace(DONE, etag=None), _forbidden(), _forbidden("e0")),
            *(REFUSED, Held("none", "failed", "reset", "e1")),
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
        plan = make_plan(window, listing, Stored(held), sessions.__contains__, Wanted(AB, save, refresh))
        seen = [decision.session for decision in plan.decisions]
        assert seen == sorted(set(seen))
        assert sessions | listing.keys() | held.keys() <= set(seen)
        assert all(decision.reason for decision in plan.decisions)
        troubled = [(d.held.remote in ("failed", "forbidden"), d.session) for d in plan.fetches]
        assert troubled == sorted(troubled)  # the oldest first, and what was in trouble before after all else
        assert {d.session for d in plan.fetches} <= listing.keys()
        assert plan.bytes == 100 * len(plan.fetches)
        assert sum(plan.reasons().values()) == len(plan.decisions)
        for decision in plan.decisions:
            nowhere = {"unpublished", "absent", "holiday"}
            assert (decision.remote in nowhere) is (decision.session not in listing)
            assert decision.held == held.get(decision.session, Held())

    def test_days_outside_the_window_are_left_alone(self) -> None:
        everything = {_day(n): _item(_day(n)) for n in range(10)}
        plan = make_plan((_day(2), _day(3)), everything, Stored({_day(9): _forbidden()}), _is_session, WISHES)
        assert [decision.session for decision in plan.decisions] == [_day(2), _day(3)]

    def test_what_is_fetched_comes_first_among_the_reasons(self) -> None:
        plan = make_plan(
            (MONDAY, _day(2)),
            {_day(n): _item(_day(n)) for n in range(3)},
            Stored({_day(0): DONE, _day(1): replace(DONE, etag="e0")}),
            _is_session,
            WISHES,
        )
        assert list(plan.reasons().items()) == [("fetch: new etag", 1), ("fetch: new", 1), ("skip: committed", 1)]


class TestPermission:
    span = Permission(_day(2), _day(6), below=_day(1), above=_day(8))

    def _plan(self, held: Mapping[int, Held], refresh: bool = False) -> Plan:
        """A plan for ten sessions, of which 2 to 6 are allowed, 7 is unknown, the others are refused."""
        return make_plan(
            window=(_day(0), _day(9)),
            listing={_day(n): _item(_day(n)) for n in range(10)},
            stored=Stored({_day(n): state for n, state in held.items()}),
            is_session=lambda day: True,
            wishes=replace(WISHES, refresh=refresh),
        ).permitted(self.span)

    @pytest.mark.parametrize("refresh", [False, True])
    def test_what_is_refused_costs_no_request(self, refresh: bool) -> None:
        plan = self._plan({}, refresh)
        assert [decision.session for decision in plan.fetches] == [_day(n) for n in range(2, 8)]
        skipped = [decision for decision in plan.decisions if decision.action == "skip"]
        assert {(one.reason, one.remote) for one in skipped} == {("forbidden", "forbidden")}

    def test_what_is_held_outside_stays_and_is_said_to_be_held(self) -> None:
        plan = self._plan({0: DONE, 1: replace(DONE, etag="e0"), 9: DONE})
        found = {decision.session: decision for decision in plan.decisions}
        assert [found[_day(n)].reason for n in (0, 1, 9)] == ["committed"] * 3
        assert [found[_day(n)].remote for n in (0, 1, 9)] == ["listed", "forbidden", "listed"]

    def test_what_was_refused_before_and_is_allowed_is_asked_for(self) -> None:
        plan = self._plan({4: _forbidden(), 7: _forbidden(), 9: _forbidden()})
        reasons = {decision.session: decision.reason for decision in plan.fetches}
        assert (reasons[_day(4)], reasons[_day(7)], _day(9) in reasons) == ("refused before", "refused before", False)

    def test_what_failed_or_was_refused_comes_last_where_files_are_limited(self) -> None:
        plan = self._plan({2: _forbidden(), 3: Held("none", "failed", "reset", "e1"), 5: DONE})
        taken = [[one.session for one in limit(plan, count, None).fetches] for count in range(5)]
        assert taken == [
            [],
            [_day(4)],
            [_day(4), _day(6)],
            [_day(4), _day(6), _day(7)],
            [_day(n) for n in (4, 6, 7, 2)],
        ]

    @pytest.mark.parametrize(("most", "taken"), [(0, 0), (99, 0), (100, 1), (199, 1), (200, 2), (499, 4), (500, 5)])
    def test_a_limit_of_bytes_is_what_may_be_fetched_and_not_a_byte_more(self, most: int, taken: int) -> None:
        listing = {_day(n): _item(_day(n), size=100) for n in range(5)}
        plan = limit(make_plan((MONDAY, _day(4)), listing, Stored({}), _is_session, WISHES), None, most)
        assert [one.session for one in plan.fetches] == [_day(n) for n in range(taken)]
        assert plan.bytes <= most
