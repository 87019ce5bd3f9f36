"""Attempts, waits and the judgement that a source is down; waits are recorded, not waited for."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import anyio
import pytest
import tenacity

from ingest.errors import (
    CacheError,
    Disrupted,
    Forbidden,
    NotFound,
    SourceRefused,
    SourceUnavailable,
    Throttled,
    UnreadableFile,
)
from ingest.sources import retrying
from ingest.sources.retrying import Liveness, with_retries

Said = tuple[int, float, str]
"""Number of the attempt that failed, seconds to wait, cause."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the judgement of a source sees; element 0 is now."""
    now = [1000.0]
    monkeypatch.setattr(retrying.anyio, "current_time", lambda: now[0])
    return now


class Hurry:
    """Stands in for the event that ends waits: it is never set, and every wait is over at once."""

    def __init__(self, passing: Callable[[], None] = lambda: None) -> None:
        self._passing = passing

    def is_set(self) -> bool:
        return False

    async def wait(self) -> None:
        self._passing()


def _call(*outcomes: Exception | str) -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """A call that ends in these ways, one after the other, and the numbers of the calls made."""
    calls: list[int] = []

    async def call() -> str:
        calls.append(len(calls) + 1)
        outcome = outcomes[len(calls) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return call, calls


def _retry(call: Callable[[], Awaitable[str]], attempts: int = 6, said: list[Said] | None = None) -> str:
    """Call without waiting; what is said before each wait is put into `said`."""
    said = [] if said is None else said

    async def run() -> str:
        on_retry = lambda *what: said.append(what)  # noqa: E731
        return await with_retries(call, attempts, Liveness(60), on_retry, Hurry())  # type: ignore[arg-type]

    return anyio.run(run)


def _waits(said: list[Said]) -> list[float]:
    return [seconds for _, seconds, _ in said]


def _run(coroutine: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        with anyio.fail_after(20):
            await coroutine()

    anyio.run(limited)


class TestAttempts:
    def test_a_fault_is_followed_by_another_attempt(self) -> None:
        call, calls = _call(Disrupted("reset"), Throttled("slow down"), "body")
        said: list[Said] = []
        assert _retry(call, said=said) == "body"
        assert len(calls) == 3
        assert [(number, cause) for number, _, cause in said] == [(1, "reset"), (2, "slow down")]

    @pytest.mark.parametrize("attempts", [1, 2, 6])
    def test_attempts_are_counted_and_the_last_error_is_raised(self, attempts: int) -> None:
        said: list[Said] = []
        call, calls = _call(*(Disrupted(f"fault {number}") for number in range(1, 10)))
        with pytest.raises(Disrupted, match=f"fault {attempts}"):
            _retry(call, attempts, said)
        assert len(calls) == attempts
        assert len(said) == attempts - 1

    @pytest.mark.parametrize(
        "error",
        [
            Forbidden("403"),
            NotFound("404"),
            SourceRefused("keys"),
            SourceUnavailable("down"),
            UnreadableFile("bad"),
            CacheError("disk"),
            ValueError("a bug"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_what_will_not_get_better_is_raised_at_once(self, error: Exception) -> None:
        said: list[Said] = []
        call, calls = _call(error, "body")
        with pytest.raises(type(error)) as caught:
            _retry(call, said=said)
        assert caught.value is error
        assert (len(calls), said) == (1, [])

    def test_waits_grow_and_stay_below_their_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tenacity.wait.random, "uniform", lambda low, high: high)
        call, _ = _call(*[Disrupted("reset")] * 9, "body")
        said: list[Said] = []
        _retry(call, 20, said)
        waits = _waits(said)
        assert waits == sorted(waits)
        assert waits[0] <= 1
        assert waits[-1] == 20

    def test_waits_are_jittered_down_to_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tenacity.wait.random, "uniform", lambda low, high: low)
        call, _ = _call(*[Disrupted("reset")] * 5, "body")
        said: list[Said] = []
        _retry(call, said=said)
        assert _waits(said) == [0, 0, 0, 0, 0]


class TestRetryAfter:
    @pytest.mark.parametrize(("asked", "waited"), [(0.0, 0.0), (7.0, 7.0), (60.0, 60.0), (86_400.0, 60.0)])
    def test_the_wait_that_the_source_asks_for_is_kept_within_reason(self, asked: float, waited: float) -> None:
        said: list[Said] = []
        call, _ = _call(Throttled("slow down", asked), "body")
        _retry(call, said=said)
        assert _waits(said) == [waited]

    def test_each_answer_has_its_own_wish(self) -> None:
        said: list[Said] = []
        call, _ = _call(Throttled("a", 3.0), Disrupted("reset"), Throttled("b", 9.0), "body")
        _retry(call, said=said)
        waits = _waits(said)
        assert (waits[0], waits[2]) == (3.0, 9.0)
        assert 0 <= waits[1] <= 20


class TestStop:
    def test_a_run_that_is_to_stop_makes_no_other_attempt(self) -> None:
        async def run() -> None:
            stop = anyio.Event()
            stop.set()
            said: list[Said] = []
            call, calls = _call(Disrupted("reset"), "body")
            with pytest.raises(Disrupted):
                await with_retries(call, 6, Liveness(60), lambda *what: said.append(what), stop)
            assert (len(calls), said) == (1, [])

        _run(run)

    def test_a_run_that_is_to_stop_does_not_wait_to_the_end(self) -> None:
        async def run() -> None:
            stop = anyio.Event()
            call, _ = _call(Throttled("slow down", 60.0), "body")
            with anyio.fail_after(5), suppress(Throttled):
                await with_retries(call, 2, Liveness(600), lambda *_: stop.set(), stop)

        _run(run)

    def test_a_run_that_is_told_to_stop_during_a_wait_makes_no_other_attempt(self) -> None:
        async def run() -> None:
            stop = anyio.Event()
            call, calls = _call(Throttled("slow down", 60.0), "body")
            with pytest.raises(Throttled):
                await with_retries(call, 2, Liveness(600), lambda *_: stop.set(), stop)
            assert len(calls) == 1

        _run(run)


class TestLiveness:
    def test_nothing_asked_is_not_down(self, clock: list[float]) -> None:
        liveness = Liveness(45)
        clock[0] += 1_000
        assert not liveness.is_down

    def test_silence_is_down_after_its_limit(self, clock: list[float]) -> None:
        liveness = Liveness(45)
        liveness.asking()
        clock[0] += 45
        assert not liveness.is_down
        clock[0] += 1
        assert liveness.is_down

    def test_any_answer_starts_the_silence_anew(self, clock: list[float]) -> None:
        liveness = Liveness(45)
        liveness.asking()
        liveness.asking()
        clock[0] += 40
        liveness.answered()
        liveness.done()
        clock[0] += 40
        assert not liveness.is_down
        clock[0] += 6
        assert liveness.is_down

    def test_a_later_request_does_not_hide_the_silence_of_an_earlier_one(self, clock: list[float]) -> None:
        liveness = Liveness(45)
        liveness.asking()
        clock[0] += 40
        liveness.asking()
        clock[0] += 6
        assert liveness.is_down

    def test_silence_counts_from_the_first_request_after_a_pause(self, clock: list[float]) -> None:
        liveness = Liveness(45)
        liveness.asking()
        liveness.done()
        clock[0] += 1_000
        liveness.asking()
        assert not liveness.is_down

    @pytest.mark.parametrize(
        ("outcomes", "lives"),
        [
            (["body"], True),
            ([Forbidden("403")], True),
            ([NotFound("404")], True),
            ([Throttled("503")], True),
            ([Disrupted("reset")], False),
        ],
        ids=lambda value: type(value[0]).__name__ if isinstance(value, list) else None,
    )
    def test_an_answer_is_a_success_a_refusal_or_a_wish_to_slow_down(
        self, outcomes: list[Exception | str], lives: bool, clock: list[float]
    ) -> None:
        async def run() -> None:
            liveness = Liveness(45)
            liveness.asking()  # another request, which still waits
            call, _ = _call(*outcomes)
            clock[0] += 44
            with suppress(Forbidden, NotFound, Throttled, Disrupted):
                await with_retries(call, 1, liveness, lambda *_: None, anyio.Event())
            clock[0] += 2
            assert liveness.is_down is not lives

        anyio.run(run)

    @pytest.mark.parametrize("outcomes", [["body"], [Forbidden("403")], [ValueError("a bug")]])
    def test_a_request_that_has_ended_is_not_waited_for(
        self, outcomes: Iterable[Exception | str], clock: list[float]
    ) -> None:
        async def run() -> None:
            liveness = Liveness(45)
            call, _ = _call(*outcomes)
            with suppress(Forbidden, ValueError):
                await with_retries(call, 1, liveness, lambda *_: None, anyio.Event())
            clock[0] += 1_000
            assert not liveness.is_down

        anyio.run(run)

    def test_the_wait_that_a_source_asked_for_is_not_its_silence(self, clock: list[float]) -> None:
        liveness, down = Liveness(45), []

        def a_minute_passes() -> None:
            clock[0] += 60
            down.append(liveness.is_down)

        async def run() -> None:
            call, _ = _call(Throttled("slow down", 60.0), "body")
            stop = Hurry(a_minute_passes)
            await with_retries(call, 2, liveness, lambda *_: None, stop)  # type: ignore[arg-type]

        anyio.run(run)
        assert down == [False]

    def test_the_wait_after_a_fault_is_a_part_of_the_silence(self, clock: list[float]) -> None:
        liveness, down = Liveness(45), []

        def half_a_minute_passes() -> None:
            clock[0] += 30
            down.append(liveness.is_down)

        async def run() -> None:
            call, _ = _call(Disrupted("reset"), Disrupted("reset"), "body")
            stop = Hurry(half_a_minute_passes)
            await with_retries(call, 3, liveness, lambda *_: None, stop)  # type: ignore[arg-type]

        anyio.run(run)
        assert down == [False, True]

    def test_watching_ends_with_the_source_and_says_for_how_long_it_was_silent(self) -> None:
        async def run() -> None:
            liveness = Liveness(0.01)
            liveness.asking()
            with pytest.raises(SourceUnavailable, match="not answered for 0 s"):
                await liveness.watch()

        _run(run)
