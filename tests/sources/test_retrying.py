"""Attempts and the waits between them; waits are recorded, not waited for."""

from collections.abc import Awaitable, Callable, Coroutine
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
from ingest.settings import SourceSettings
from ingest.settings.tuning import Tuning
from ingest.sources.liveness import Liveness
from ingest.sources.retry_policy import of_massive, of_yahoo
from ingest.sources.retrying import OnRetry, Persistence

Said = tuple[int, float, str]
"""Number of the attempt that failed, seconds to wait, cause."""


class Hurry:
    """Stands in for the event that ends waits: it is never set, and every wait is over at once."""

    def is_set(self) -> bool:
        return False

    async def wait(self) -> None: ...


async def _persist(
    call: Callable[[], Awaitable[str]], attempts: int, on_retry: OnRetry, stop: anyio.Event | Hurry
) -> str:
    policy = of_massive(attempts, Tuning())
    return await Persistence(policy, Liveness(SourceSettings()), on_retry, stop).call("it", call)  # type: ignore[arg-type]


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
        return await _persist(call, attempts, lambda *what: said.append(what), Hurry())

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

    def test_all_the_waits_of_a_call_together_have_a_limit(self) -> None:
        said: list[Said] = []
        call, calls = _call(*[Throttled("slow down", 60.0)] * 20)
        with pytest.raises(Throttled):
            _retry(call, 20, said)
        assert (len(calls), _waits(said)) == (6, [60.0] * 5)


class TestSynchronously:
    """Yahoo's calls are repeated by a policy of the same kind."""

    @staticmethod
    def _slept(error: Exception) -> tuple[int, list[float]]:
        calls, slept = [], list[float]()

        def call() -> None:
            calls.append(error)
            raise error

        with pytest.raises(type(error)) as caught:
            of_yahoo(Tuning()).built(tenacity.Retrying, sleep=slept.append)(call)
        assert caught.value is error
        return len(calls), slept

    @pytest.mark.parametrize("error", [Disrupted("reset"), Throttled("slow down")], ids=repr)
    def test_yahoo_is_asked_three_times_with_waits_that_double(
        self, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tenacity.wait.random, "uniform", lambda low, high: high)
        assert self._slept(error) == (3, [1, 2])

    def test_its_waits_are_jittered_down_to_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tenacity.wait.random, "uniform", lambda low, high: low)
        assert self._slept(Disrupted("reset")) == (3, [0, 0])

    def test_the_wait_that_the_source_asks_for_is_kept_within_reason(self) -> None:
        assert self._slept(Throttled("slow down", 86_400.0)) == (3, [60, 60])

    @pytest.mark.parametrize("error", [NotFound("404"), SourceUnavailable("down"), ValueError("a bug")], ids=repr)
    def test_what_will_not_get_better_is_raised_at_once(self, error: Exception) -> None:
        assert self._slept(error) == (1, [])


class TestStop:
    def test_a_run_that_is_to_stop_makes_no_other_attempt(self) -> None:
        async def run() -> None:
            stop = anyio.Event()
            stop.set()
            said: list[Said] = []
            call, calls = _call(Disrupted("reset"), "body")
            with pytest.raises(Disrupted):
                await _persist(call, 6, lambda *what: said.append(what), stop)
            assert (len(calls), said) == (1, [])

        _run(run)

    def test_a_run_that_is_to_stop_does_not_wait_to_the_end(self) -> None:
        async def run() -> None:
            stop = anyio.Event()
            call, _ = _call(Throttled("slow down", 60.0), "body")
            with anyio.fail_after(5), suppress(Throttled):
                await _persist(call, 2, lambda *_: stop.set(), stop)

        _run(run)

    def test_a_run_that_is_told_to_stop_during_a_wait_makes_no_other_attempt(self) -> None:
        async def run() -> None:
            stop = anyio.Event()
            call, calls = _call(Throttled("slow down", 60.0), "body")
            with pytest.raises(Throttled):
                await _persist(call, 2, lambda *_: stop.set(), stop)
            assert len(calls) == 1

        _run(run)
