"""What the keys' plan allows: learned from answers, found by bisection, given a name."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from math import log2

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.market.catalogue import named
from ingest.market.permission import Permission, only_copies, plan_name
from ingest.planning.probing import search

NOTHING = Permission()
EPOCH = date(2020, 1, 1)
TODAY = date(2026, 11, 24)


def _day(number: int) -> date:
    return EPOCH + timedelta(days=number)


def _span(first: int, last: int, below: int | None = None, above: int | None = None) -> Permission:
    return Permission(
        _day(first), _day(last), None if below is None else _day(below), None if above is None else _day(above)
    )


def _search(days: Sequence[date], allowed: Callable[[date], bool | None]) -> tuple[Permission, list[date]]:
    """What is learned from a search, and what it asked."""
    asked: list[date] = []

    async def ask(day: date) -> bool | None:
        await anyio.lowlevel.checkpoint()
        asked.append(day)
        return allowed(day)

    return NOTHING.found(anyio.run(search, days, ask)), asked


class TestBisection:
    @given(st.integers(1, 400), st.integers(0, 399), st.integers(0, 30), st.integers(1, 3))
    def test_the_edges_are_found_for_any_plan(self, count: int, floor: int, delay: int, step: int) -> None:
        days = [_day(step * n) for n in range(count)]
        allowed = days[min(floor, count) : max(min(floor, count), count - delay)]
        found, asked = _search(days, set(allowed).__contains__)
        assert len(asked) == len(set(asked))
        assert len(asked) <= 3 * log2(count + 1) + 3
        # A span shorter than the steps back from the newest file can be stepped over.
        if len(allowed) > delay:
            assert [day for day in days if found.allows(day)] == allowed
            assert {found.allows(day) for day in days} <= {True, False}

    def test_where_all_is_allowed_two_questions_are_enough(self) -> None:
        found, asked = _search([_day(n) for n in range(500)], lambda day: True)
        assert (found, asked) == (_span(0, 499), [_day(499), _day(0)])

    def test_five_years_out_of_the_whole_history_are_a_dozen_questions(self) -> None:
        days = [_day(n) for n in range(5_800)]
        found, asked = _search(days, lambda day: day >= _day(4_540))
        assert (found, len(asked) <= 16) == (_span(4_540, 5_799, below=4_539), True)

    def test_where_nothing_is_allowed_all_is_refused(self) -> None:
        days = [_day(n) for n in range(100)]
        found, asked = _search(days, lambda day: False)
        assert {found.allows(day) for day in days} == {False}
        assert len(asked) <= 10

    @settings(max_examples=300)
    @given(
        st.integers(200, 600),
        st.integers(0, 9),
        st.integers(0, 9),
        st.dictionaries(st.integers(0, 1000), st.sampled_from([False, None]), max_size=2),
    )
    def test_single_files_in_trouble_hide_nothing(
        self, count: int, old: int, new: int, trouble: dict[int, bool | None]
    ) -> None:
        """Refused or silent, each alone between two that are allowed: what is found reaches to the plan's edges."""
        allowed = range(old, count - new)
        places = allowed[1:-1:2]
        answers = {_day(n): n in allowed for n in range(count)}
        answers |= {_day(places[n % len(places)]): answer for n, answer in trouble.items()}
        found, _ = _search(list(answers), answers.__getitem__)
        assert [found.allows(_day(n)) for n in (old, count - new - 1)] == [True, True]
        assert not any(found.allows(_day(n)) for n in range(count) if n not in allowed)

    def test_a_refusal_on_the_way_is_not_believed_before_the_next_one_is_asked(self) -> None:
        days = [_day(n) for n in range(40)]
        found, asked = _search(days, lambda day: day >= _day(5) and day != _day(19))
        assert (found, len(asked) <= 14) == (_span(5, 39, below=4), True)

    @pytest.mark.parametrize("silent", [range(19, 21), range(17, 23), range(25, 30)])
    def test_silence_on_the_way_is_no_refusal(self, silent: range) -> None:
        """However many in a row say nothing, what lies behind them is found."""
        days = [_day(n) for n in range(40)]
        found, _ = _search(days, lambda day: None if day in map(_day, silent) else day >= _day(5))
        assert found == _span(5, 39, below=4)

    def test_who_gives_no_answer_teaches_nothing(self) -> None:
        days = [_day(n) for n in range(10)]
        assert _search(days, lambda day: None)[0] == NOTHING
        assert _search(days, lambda day: None if day == _day(9) else True)[0] == _span(0, 8)

    def test_of_no_days_nothing_is_asked(self) -> None:
        assert _search([], lambda day: True) == (NOTHING, [])


class TestFinding:
    """What is known after a search; `no` and `yes` are what it asked."""

    @staticmethod
    def _found(known: Permission, yes: Sequence[int], no: Sequence[int] = ()) -> Permission:
        return known.found({_day(n): True for n in yes} | {_day(n): False for n in no})

    def test_it_takes_the_place_of_what_was_known(self) -> None:
        assert self._found(_span(10, 20, 9, 21), yes=[12, 22], no=[11]) == _span(12, 22, below=11)
        assert self._found(_span(10, 20, 9, 21), yes=[4, 17], no=[18, 20]) == _span(4, 17, above=18)

    def test_what_lies_outside_stays(self) -> None:
        assert self._found(_span(10, 40, 9, 41), yes=[20, 30]) == _span(10, 40, 9, 41)
        assert self._found(_span(10, 20, 9), yes=[25, 30]) == _span(10, 30, 9)
        assert self._found(_span(10, 20, above=21), yes=[5, 15]) == _span(5, 20, above=21)

    def test_a_floor_that_has_passed_what_was_known_does_not_stay(self) -> None:
        assert self._found(_span(10, 20, 9), yes=[15, 20], no=[14]) == _span(15, 20, 14)
        assert self._found(_span(10, 20, 9), yes=[30, 40], no=[29]) == _span(30, 40, 29)

    def test_what_was_the_first_or_the_last_allowed_and_is_refused_now_is_not_both(self) -> None:
        assert self._found(_span(10, 20, 9), yes=[11, 20], no=[10]) == _span(11, 20, 10)
        assert self._found(_span(10, 20, above=21), yes=[10, 19], no=[20]) == _span(10, 19, above=20)

    def test_where_nothing_is_allowed_that_is_known(self) -> None:
        nothing = self._found(_span(10, 20), yes=[], no=[3, 30])
        assert {nothing.allows(_day(n)) for n in range(40)} == {False}
        assert nothing.lost([_day(1), _day(15)]) == []

    def test_where_nothing_was_known_to_be_allowed_old_refusals_do_not_stay(self) -> None:
        assert self._found(Permission(below=_day(20), above=_day(20)), yes=[0, 21]) == _span(0, 21)

    def test_without_an_answer_all_stays(self) -> None:
        assert self._found(_span(10, 20, 9), yes=[]) == _span(10, 20, 9)


class TestLearning:
    def test_of_nothing_nothing_is_known(self) -> None:
        assert Permission().allows(TODAY) is None
        assert Permission().learn([], []) == Permission()

    def test_a_new_session_is_asked_and_learned(self) -> None:
        span = _span(10, 20, below=9)
        assert span.allows(_day(21)) is None
        assert span.learn([_day(21)], []) == _span(10, 21, below=9)

    def test_the_newest_days_may_be_refused_and_open_one_by_one(self) -> None:
        delayed = _span(10, 20, above=21)
        assert delayed.allows(_day(25)) is False
        assert delayed.learn([_day(21)], [_day(22)]) == _span(10, 21, above=22)

    def test_a_refusal_outside_leaves_what_lies_between_unknown(self) -> None:
        span = _span(10, 20).learn([_day(15)], [_day(3), _day(28)])
        assert span == _span(10, 20, below=3, above=28)
        assert [span.allows(_day(n)) for n in (3, 6, 15, 24, 28)] == [False, None, True, None, False]

    def test_a_better_plan_opens_what_was_refused(self) -> None:
        better = _span(10, 20, below=9).learn([_day(n) for n in range(5, 10)], [_day(4)])
        assert better == _span(5, 20, below=4)
        assert _span(10, 20, below=9).learn([_day(9)], []) == _span(9, 20)

    def test_a_refusal_within_moves_nothing(self) -> None:
        assert _span(0, 20).learn([_day(4), _day(6)], [_day(5)]) == _span(0, 20)
        assert _span(0, 20).learn([], [_day(2), _day(0), _day(20)]) == _span(0, 20)
        assert _span(0, 20).learn([_day(22)], [_day(21)]) == _span(0, 22)

    def test_what_is_allowed_after_nothing_was_drops_what_was_refused(self) -> None:
        assert NOTHING.learn([], [_day(5)]).learn([_day(7)], []) == _span(7, 7)

    @given(
        st.lists(st.tuples(st.frozensets(st.integers(0, 40)), st.frozensets(st.integers(0, 40))), max_size=6),
    )
    def test_whatever_was_answered_the_span_is_sound(self, rounds: list[tuple[frozenset[int], frozenset[int]]]) -> None:
        span = Permission()
        for yes, no in rounds:
            span = span.learn([_day(n) for n in yes], [_day(n) for n in no - yes])
            assert (span.first is None) is (span.last is None)
            if span.first and span.last:
                assert span.first <= span.last
                assert span.below is None or span.below < span.first
                assert span.above is None or span.above > span.last
                assert all(span.allows(_day(n)) for n in yes)

    @given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60))
    def test_answers_of_a_plan_teach_that_plan(self, first: int, length: int, extra: int) -> None:
        last = first + length
        days = range(first + length + extra)
        yes, no = [n for n in days if first <= n <= last], [n for n in days if not first <= n <= last]
        learned = Permission().learn([_day(n) for n in yes], [_day(n) for n in no])
        assert all(learned.allows(_day(n)) is (n in yes) for n in days) or not yes


class TestWords:
    @pytest.mark.parametrize(
        ("permission", "words"),
        [
            (Permission(date(2021, 11, 24), TODAY, date(2021, 11, 23)), "5 years back, as Starter has it"),
            (Permission(date(2021, 11, 29), TODAY, date(2021, 11, 26)), "5 years back, as Starter has it"),
            (Permission(date(2016, 11, 25), TODAY, date(2016, 11, 23)), "10 years back, as Developer has it"),
            (Permission(date(2003, 9, 10), TODAY), "all that is listed, as Advanced and Business have it"),
            (
                Permission(date(2021, 11, 24), date(2026, 11, 9), date(2021, 11, 23), date(2026, 11, 10)),
                "5 years back, as Starter has it, without the newest files",
            ),
            (
                Permission(date(2024, 11, 25), TODAY, date(2024, 11, 22)),
                "2.0 years back, which matches no known subscription",
            ),
            (Permission(date(2024, 11, 25), TODAY), "from 2024-11-25 on at least"),
            (
                Permission(below=TODAY, above=date(2003, 9, 10)),
                "nothing is allowed: a subscription without flat files (Basic), or keys of another product",
            ),
        ],
    )
    def test_a_plan_is_named_by_how_far_it_reaches(self, permission: Permission, words: str) -> None:
        assert plan_name(permission, TODAY, date(2003, 9, 10)) == words

    @pytest.mark.parametrize(
        ("short", "years", "words"),
        [
            ("options-day", 2, "2 years back, as Starter has it"),
            ("options-minute", 4, "4 years back, as Developer has it"),
            ("options-day", 5, "5.0 years back, which matches no known subscription"),
            ("stocks-minute", 5, "5 years back, as Starter has it"),
            ("stocks-day", 2, "2.0 years back, which matches no known subscription"),
            ("crypto-day", 5, "5.0 years back, which matches no known subscription"),
        ],
    )
    def test_each_kind_of_security_has_plans_of_its_own(self, short: str, years: int, words: str) -> None:
        first = date(TODAY.year - years, TODAY.month, TODAY.day)
        permission = Permission(first, TODAY, first - timedelta(days=1))
        assert plan_name(permission, TODAY, date(2003, 9, 10), named(short).plans) == words

    def test_who_has_all_is_said_of_what_plans_are_known_of(self) -> None:
        everything = Permission(date(2014, 6, 2), TODAY)
        for short, words in (
            ("options-day", "all that is listed, as Advanced and Business have it"),
            ("forex-day", "all that is listed"),
        ):
            assert plan_name(everything, TODAY, date(2014, 6, 2), named(short).plans) == words

    @pytest.mark.parametrize(
        ("permission", "words"),
        [
            (_span(1, 3, 0, 4), "2020-01-02 to 2020-01-04"),
            (_span(1, 3, below=0), "sessions from 2020-01-02 on"),
            (_span(1, 3, above=4), "sessions up to 2020-01-04"),
            (_span(1, 3), "at least 2020-01-02 to 2020-01-04"),
            (Permission(below=EPOCH, above=EPOCH), "nothing"),
            (NOTHING, "what was not asked yet"),
        ],
    )
    def test_a_span_says_no_more_than_is_known(self, permission: Permission, words: str) -> None:
        assert str(permission) == words

    def test_what_the_floor_has_rolled_past_is_the_only_copy(self) -> None:
        span = _span(10, 20, below=9)
        held = [_day(n) for n in range(8, 15)]
        assert span.lost(held) == held[:2]
        assert _span(10, 20).lost(held) == []  # older ones were never asked for
        starts = "your subscription now starts at 2020-01-11: "
        assert only_copies(held[:2], span).startswith(
            f"{starts}2 stored sessions (2020-01-09 to 2020-01-10) can no longer"
        )
        assert only_copies(held[:1], span).startswith(f"{starts}the stored session 2020-01-09 can no longer")
