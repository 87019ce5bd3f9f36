"""Bytes in flight never pass the budget, and downloads in flight follow the source's health."""

from collections import deque
from collections.abc import Awaitable, Callable
from functools import wraps

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.limits import AdaptiveLimit, ByteBudget, UnderWay


class TestByteBudget:
    @given(st.integers(1, 100), st.lists(st.integers(0, 250), max_size=30), st.randoms(use_true_random=False))
    def test_for_any_sequence_the_budget_holds_and_all_get_through(self, most: int, sizes: list[int], random) -> None:  # type: ignore[no-untyped-def]
        in_flight: dict[int, int] = {}
        peaks: list[int] = []

        async def one(budget: ByteBudget, number: int, size: int) -> None:
            taken = await budget.acquire(size)
            in_flight[number] = size
            peaks.append(sum(min(each, most) for each in in_flight.values()))
            if size > most:
                assert sum(each > 0 for each in in_flight.values()) == 1, "what is too large has company"
            for _ in range(random.randint(0, 3)):
                await anyio.lowlevel.checkpoint()
            del in_flight[number]
            budget.release(taken)

        async def all_of_them() -> None:
            budget = ByteBudget(most)
            with anyio.fail_after(10):
                async with anyio.create_task_group() as group:
                    for number, size in enumerate(sizes):
                        group.start_soon(one, budget, number, size)
            assert await budget.acquire(most) == most

        anyio.run(all_of_them)
        assert len(peaks) == len(sizes)
        assert max(peaks, default=0) <= most

    def test_what_is_too_large_takes_all_and_gives_all_back(self) -> None:
        async def run() -> None:
            budget = ByteBudget(10)
            taken = await budget.acquire(1_000)
            assert taken == 10
            with anyio.move_on_after(0.01) as scope:
                await budget.acquire(1)
            assert scope.cancelled_caught
            budget.release(taken)
            with anyio.fail_after(1):
                assert await budget.acquire(10) == 10

        anyio.run(run)

    def test_who_was_cancelled_while_waiting_has_taken_nothing(self) -> None:
        async def run() -> None:
            budget = ByteBudget(10)
            taken = await budget.acquire(6)
            with anyio.move_on_after(0.01):
                await budget.acquire(5)
            budget.release(taken)
            with anyio.fail_after(1):
                assert await budget.acquire(10) == 10

        anyio.run(run)


class TestUnderWay:
    def test_who_waits_for_none_is_woken_by_the_last(self) -> None:
        under_way, ended = UnderWay(), list[int]()

        async def one(steps: int) -> None:
            with under_way:
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                ended.append(steps)

        async def run() -> None:
            with anyio.fail_after(1):
                await under_way.none()
                async with anyio.create_task_group() as group:
                    for steps in (30, 10, 20):
                        group.start_soon(one, steps)
                    await anyio.lowlevel.checkpoint()
                    await under_way.none()
                    assert sorted(ended) == [10, 20, 30]

        anyio.run(run)

    def test_what_raises_is_under_way_no_longer(self) -> None:
        async def run() -> None:
            under_way = UnderWay()
            with pytest.raises(ValueError, match="broken"), under_way:
                raise ValueError("broken")
            with anyio.fail_after(1):
                await under_way.none()

        anyio.run(run)


def _round(limit: AdaptiveLimit) -> None:
    for _ in range(limit.limit):
        limit.succeeded()


class TestAdaptiveLimit:
    @pytest.mark.parametrize(("ceiling", "start"), [(64, 8), (8, 8), (5, 5), (1, 1)])
    def test_it_starts_low_and_never_above_its_ceiling(self, ceiling: int, start: int) -> None:
        assert AdaptiveLimit(ceiling).limit == start

    def test_a_slow_start_doubles_each_round_up_to_the_ceiling(self) -> None:
        limit = AdaptiveLimit(50)
        limits = []
        for _ in range(4):
            _round(limit)
            limits.append(limit.limit)
        assert limits == [16, 32, 50, 50]

    def test_after_congestion_it_grows_by_one_a_round(self) -> None:
        limit = AdaptiveLimit(64)
        _round(limit)
        assert limit.congested(limit.window)
        assert limit.limit == 8
        _round(limit)
        assert limit.limit in (8, 9)
        _round(limit)
        assert limit.limit in (9, 10)

    def test_it_is_halved_once_a_window_however_many_fail_together(self) -> None:
        limit = AdaptiveLimit(64)
        _round(limit)
        _round(limit)
        begun_in = limit.window
        assert [limit.congested(begun_in) for _ in range(20)] == [True] + [False] * 19
        assert limit.limit == 16
        assert limit.congested(limit.window)
        assert limit.limit == 8

    @pytest.mark.parametrize(("ceiling", "floor"), [(64, 4), (4, 4), (3, 3), (1, 1)])
    def test_it_never_falls_below_its_floor(self, ceiling: int, floor: int) -> None:
        limit = AdaptiveLimit(ceiling)
        changes = [limit.congested(limit.window) for _ in range(10)]
        assert limit.limit == floor
        assert changes[-1] is False, "nothing changed and it was said to have"

    def test_it_says_when_it_is_back_at_its_ceiling_once(self) -> None:
        limit = AdaptiveLimit(10)
        assert not any(limit.succeeded() for _ in range(100))
        limit.congested(limit.window)
        assert [limit.succeeded() for _ in range(200)].count(True) == 1
        assert limit.limit == 10

    def test_it_says_when_it_is_back_where_it_fell_from_below_its_ceiling(self) -> None:
        limit = AdaptiveLimit(80)
        for _ in range(20 - limit.limit):
            limit.succeeded()
        limit.congested(limit.window)
        levels = [limit.limit for _ in range(300) if limit.succeeded()]
        assert levels == [20]

    @given(st.integers(1, 80), st.lists(st.sampled_from(["good", "bad", "late"]), max_size=200))
    def test_whatever_happens_it_stays_between_floor_and_ceiling(self, ceiling: int, signs: list[str]) -> None:
        limit = AdaptiveLimit(ceiling)
        for sign in signs:
            before = limit.limit
            if sign == "good":
                limit.succeeded()
                assert before <= limit.limit <= before + 1
            elif sign == "bad":
                limit.congested(limit.window)
                assert limit.limit >= before // 2
            else:
                assert not limit.congested(limit.window - 1)
                assert limit.limit == before
            assert min(4, ceiling) <= limit.limit <= ceiling

    @given(st.integers(1, 12), st.lists(st.sampled_from(["good", "bad"]), min_size=30, max_size=60))
    def test_downloads_at_once_never_pass_the_limit_and_none_is_left_waiting(
        self, ceiling: int, signs: list[str]
    ) -> None:
        limit = AdaptiveLimit(ceiling)
        waiting = deque(signs)
        too_many: list[int] = []

        async def one() -> None:
            await limit.acquire()
            if limit.in_flight > limit.limit:
                too_many.append(limit.in_flight)
            window = limit.window
            await anyio.lowlevel.checkpoint()
            if waiting.popleft() == "good":
                limit.succeeded()
            else:
                limit.congested(window)
            limit.release()

        async def all_of_them() -> None:
            with anyio.fail_after(10):
                async with anyio.create_task_group() as group:
                    for _ in signs:
                        group.start_soon(one)

        anyio.run(all_of_them)
        assert not waiting
        assert not too_many
        assert limit.in_flight == 0

    def test_a_place_that_opens_by_growth_is_taken_at_once(self) -> None:
        async def run() -> None:
            limit = AdaptiveLimit(64)
            for _ in range(8):
                await limit.acquire()
            async with anyio.create_task_group() as group:
                group.start_soon(limit.acquire)
                await anyio.wait_all_tasks_blocked()
                assert limit.in_flight == 8
                limit.succeeded()
            assert limit.in_flight == 9

        anyio.run(run)


def _in_a_loop(test: Callable[[object], Awaitable[None]]) -> Callable[[object], None]:
    @wraps(test)
    def run(self: object) -> None:
        anyio.run(test, self)

    return run


class TestMore:
    @_in_a_loop
    async def test_who_holds_bytes_is_let_through_alone_and_the_others_after_it(self):
        """Four who hold all of a budget want more than there is: none waits for ever, and no two have more at once."""
        budget, having, most = ByteBudget(100), [0], []

        async def one() -> None:
            taken = await budget.acquire(25)
            await anyio.sleep(0)
            async with budget.more(90):
                having[0] += 1
                most.append(having[0])
                await anyio.sleep(0.001)
                having[0] -= 1
            budget.release(taken)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(one)
        assert most == [1] * 8
        assert await budget.acquire(1000) == 100, "all of it was given back"

    @_in_a_loop
    async def test_as_many_have_more_as_there_is_room_for(self):
        budget = ByteBudget(100)
        async with budget.more(60), budget.more(40):
            with anyio.move_on_after(0.01) as waited:
                await budget.acquire(1)
            assert waited.cancelled_caught
        assert await budget.acquire(100) == 100

    @_in_a_loop
    async def test_what_is_cancelled_or_fails_gives_back(self):
        budget = ByteBudget(100)
        with pytest.raises(ZeroDivisionError):
            async with budget.more(300):
                raise ZeroDivisionError
        async with budget.more(80):
            with anyio.move_on_after(0.01):
                async with budget.more(80):
                    raise AssertionError
        assert await budget.acquire(100) == 100
