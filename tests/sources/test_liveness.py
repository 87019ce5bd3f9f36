"""What counts as a sign of life, as silence, as stuck, and as waiting for nothing; on a clock of the test's own."""

from collections.abc import Callable
from contextlib import ExitStack, suppress

import anyio
import pytest

from ingest.errors import Disrupted, Forbidden, IngestError, NotFound, SourceUnavailable, Stopped, Throttled
from ingest.settings import SourceSettings
from ingest.settings.tuning import Tuning
from ingest.sources import heard, liveness
from ingest.sources.liveness import Liveness
from ingest.sources.retry_policy import of_massive
from ingest.sources.retrying import Persistence

SETTINGS = SourceSettings(down_after_s=45, read_timeout_s=30, connect_timeout_s=10, low_speed_bytes_per_s=100)
Pass = Callable[[Liveness, float], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The loop's clock; element 0 is now."""
    now = [1000.0]
    monkeypatch.setattr(liveness.anyio, "current_time", lambda: now[0])
    return now


@pytest.fixture
def awake(clock: list[float]) -> Pass:
    """Let time pass, as a loop sees it that is awake."""

    def passes(one: Liveness, seconds: float) -> None:
        one.tick()
        for _ in range(round(2 * seconds)):
            clock[0] += 0.5
            one.tick()

    return passes


class TestSilence:
    def test_nothing_asked_is_not_down(self, awake: Pass) -> None:
        one = Liveness(SETTINGS)
        awake(one, 1_000)
        assert not one.is_down

    def test_silence_is_down_after_its_limit(self, awake: Pass) -> None:
        one = Liveness(SETTINGS)
        with one.asked():
            awake(one, 45)
            assert not one.is_down
            awake(one, 1)
            assert one.is_down

    def test_any_sign_of_life_begins_the_silence_anew(self, awake: Pass) -> None:
        one = Liveness(SETTINGS)
        with one.asked():
            with one.asked():
                awake(one, 40)
                one.alive(well=False)
            awake(one, 40)
            assert not one.is_down
            awake(one, 6)
            assert one.is_down

    def test_a_later_request_does_not_hide_the_silence_of_an_earlier_one(self, awake: Pass) -> None:
        one = Liveness(SETTINGS)
        with one.asked():
            awake(one, 40)
            with one.asked():
                awake(one, 6)
                assert one.is_down

    def test_silence_counts_from_the_first_request_after_a_pause(self, awake: Pass) -> None:
        one = Liveness(SETTINGS)
        with one.asked():
            pass
        awake(one, 1_000)
        with one.asked():
            assert not one.is_down

    def test_a_process_that_slept_was_not_there_to_listen(self, awake: Pass, clock: list[float]) -> None:
        one = Liveness(SETTINGS)
        with one.asked():
            awake(one, 20)
            clock[0] += 10_000
            one.tick()
            assert not one.is_down
            awake(one, 25)
            assert one.is_down

    def test_a_disk_that_takes_its_time_is_no_silence(self, awake: Pass) -> None:
        async def run() -> None:
            one = Liveness(SETTINGS)
            with one.asked(), one.exchange("it"):
                heard.answered(well=True)
                with heard.busy():
                    awake(one, 1_000)
                    assert not one.is_down
                awake(one, 46)
                assert one.is_down

        anyio.run(run)

    @pytest.mark.parametrize("seconds", [60.0, 5.0])
    def test_the_wait_after_an_answer_is_no_silence(self, awake: Pass, seconds: float) -> None:
        one = Liveness(SETTINGS)
        with one.asked(), one.waiting(seconds, excused=True, cause="503"):
            awake(one, seconds + 44)
            assert not one.is_down
            awake(one, 2)
            assert one.is_down

    def test_the_wait_after_a_fault_is_a_part_of_the_silence(self, awake: Pass) -> None:
        one = Liveness(SETTINGS)
        with one.asked():
            for _ in range(2):
                assert not one.is_down
                with one.waiting(30, excused=False, cause="reset"):
                    awake(one, 30)
            assert one.is_down

    @pytest.mark.parametrize(
        ("outcome", "answered", "lives"),
        [
            ("body", False, True),
            (Forbidden("403"), False, True),
            (NotFound("404"), False, True),
            (Throttled("503"), False, True),
            (Disrupted("500"), True, True),
            (Disrupted("reset"), False, False),
        ],
        ids=str,
    )
    def test_every_answer_is_a_sign_of_life(
        self, outcome: IngestError | str, answered: bool, lives: bool, awake: Pass
    ) -> None:
        async def call() -> str:
            if answered:
                heard.answered(well=False)
            if isinstance(outcome, IngestError):
                raise outcome
            return outcome

        async def run() -> None:
            one = Liveness(SETTINGS)
            with one.asked():  # another request, which still waits
                awake(one, 44)
                with suppress(IngestError):
                    await Persistence(of_massive(1, Tuning()), one, lambda *_: None, anyio.Event()).call("it", call)
                awake(one, 2)
                assert one.is_down is not lives

        anyio.run(run)


def _ended(work: Callable[[Liveness], None]) -> str | None:
    """Why an attempt was ended as stuck, if it was."""

    async def run() -> None:
        one = Liveness(SETTINGS)
        with one.exchange("key"):
            work(one)
            await anyio.lowlevel.checkpoint()

    try:
        anyio.run(run)
    except Disrupted as error:
        return str(error)
    return None


class TestStopping:
    """A run that is to stop finishes what is in flight, except for what is silent."""

    def test_what_is_silent_is_given_up_and_what_is_not_goes_on(self, awake: Pass) -> None:
        async def run() -> None:
            one = Liveness(SETTINGS)
            with one.exchange("key"):
                heard.answered(well=True)
                awake(one, 20)
                heard.received(100)
                one.hurry()
                awake(one, 4)
                heard.received(1)
                with heard.busy():
                    awake(one, 20)
                awake(one, 4)
                await anyio.lowlevel.checkpoint()
                assert one.silences() == [("key", 101, 4.0)]
                awake(one, 2)
                await anyio.lowlevel.checkpoint()

        with pytest.raises(Stopped, match="key: given up"):
            anyio.run(run)

    def test_without_a_stop_silence_is_borne_for_longer(self, awake: Pass) -> None:
        assert _ended(lambda one: (heard.received(10_000), awake(one, 29))) is None

    def test_what_has_been_silent_for_long_is_given_up_at_once(self, awake: Pass) -> None:
        async def run() -> None:
            one = Liveness(SETTINGS)
            with one.exchange("key"):
                awake(one, 20)
                one.hurry()
                one.tick()
                await anyio.lowlevel.checkpoint()

        with pytest.raises(Stopped):
            anyio.run(run)


class TestSpeed:
    def test_what_is_not_answered_is_ended(self, awake: Pass) -> None:
        assert _ended(lambda one: awake(one, 40)) is None
        assert _ended(lambda one: awake(one, 41)) == "key: no answer within 40 s"

    @pytest.mark.parametrize(("count", "fault"), [(0, True), (6, True), (2_900, True), (3_100, False)])
    def test_its_bytes_have_to_come_at_a_certain_speed(self, awake: Pass, count: int, fault: bool) -> None:
        def work(one: Liveness) -> None:
            heard.answered(well=True)
            heard.received(count)
            awake(one, 31)

        assert (_ended(work) == f"key: read timeout: {count:,} bytes in 30 s, which is too slow") is fault

    def test_its_speed_is_looked_at_again_and_again(self, awake: Pass) -> None:
        def work(one: Liveness) -> None:
            heard.answered(well=True)
            heard.received(10_000_000)
            awake(one, 62)

        assert "0 bytes in 30 s" in (_ended(work) or "")

    def test_further_answers_do_not_begin_its_time_anew(self, awake: Pass) -> None:
        """A source may send a part of what is asked for; byte by byte that would go on for ever."""

        def work(one: Liveness) -> None:
            for _ in range(7):
                heard.answered(well=True)
                heard.received(1)
                awake(one, 5)

        assert _ended(work)

    @pytest.mark.parametrize(("count", "fault"), [(700, True), (800, False)])
    def test_of_a_line_that_others_use_too_it_needs_its_share_alone(self, awake: Pass, count: int, fault: bool) -> None:
        def work(one: Liveness) -> None:
            heard.answered(well=True)
            heard.received(count)
            with ExitStack() as others:
                for number in range(3):
                    others.enter_context(one.exchange(str(number)))
                awake(one, 1)
            awake(one, 30)

        assert bool(_ended(work)) is fault

    def test_a_process_that_slept_ends_nothing(self, awake: Pass, clock: list[float]) -> None:
        def work(one: Liveness) -> None:
            one.tick()
            clock[0] += 10_000
            one.tick()

        assert _ended(work) is None

    def test_a_disk_that_takes_its_time_is_not_the_fault_of_the_source(self, awake: Pass) -> None:
        def work(one: Liveness) -> None:
            heard.answered(well=True)
            with heard.busy():
                awake(one, 1_000)
            awake(one, 29)

        assert _ended(work) is None


class TestPatience:
    def _watch(self, one: Liveness, seconds: float = 5) -> None:
        async def run() -> None:
            with anyio.fail_after(seconds):
                await one.watch()

        anyio.run(run)

    def test_a_run_that_only_waits_ends_and_says_for_what(self, awake: Pass) -> None:
        one = Liveness(SETTINGS, Tuning(tick_s=0.001))
        for _ in range(20):  # what comes well in between does not give back what has been waited
            with one.asked(), one.waiting(60, excused=True, cause="key: SlowDown"):
                awake(one, 60)
                one.alive(well=True)
        with pytest.raises(SourceUnavailable, match=r"slow down for 900 s \(key: SlowDown\)"):
            self._watch(one)

    def test_waits_of_some_while_others_get_on_are_not_counted(self, awake: Pass) -> None:
        one = Liveness(SETTINGS, Tuning(tick_s=0.001))
        with one.asked():
            for _ in range(400):
                with one.waiting(9, excused=True, cause="503"):
                    awake(one, 9)
                    one.alive(well=True)
        with pytest.raises(TimeoutError):
            self._watch(one, 0.2)

    def test_watching_ends_with_the_source_and_says_for_how_long_it_was_silent(self) -> None:
        one = Liveness(SETTINGS.model_copy(update={"down_after_s": 0.01}))
        with one.asked(), pytest.raises(SourceUnavailable, match="not answered for 0 s"):
            self._watch(one)
