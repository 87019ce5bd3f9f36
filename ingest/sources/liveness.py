"""Whether the source is alive, whether one request is stuck, and how long a run has waited in vain.

Time is counted by the ticks of the event loop: a sleep (a stopped process, a suspended laptop, a paused virtual
machine) counts for half a second at most, so a source that was silent only because nobody listened is not taken to be
down.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import anyio

from ingest.errors import Disrupted, SourceUnavailable, Stopped
from ingest.settings import SourceSettings
from ingest.settings.tuning import DEFAULT, Tuning
from ingest.sources import heard

_MOST_OF_A_TICK_S = 0.5


class Silence(NamedTuple):
    """An attempt under way: what was requested, the bytes that have come, and the seconds since the last of them."""

    what: str
    bytes: int
    seconds: float


class Liveness:
    """What has been heard of a source, and by which requests; shared by all requests to it."""

    def __init__(self, settings: SourceSettings, tuning: Tuning = DEFAULT) -> None:
        self._settings, self._tuning = settings, tuning
        self._asking = self._waiting = 0
        self._under_way: set[_Exchange] = set()
        self._silent_since = self._good_at = self._waited_s = 0.0
        self._ticked_at: float | None = None
        self._trouble, self._is_hurried = "", False
        self.awake_s = 0.0
        """Seconds during which this process was awake to listen."""
        self.signs = 0
        """Signs of life so far."""

    @contextmanager
    def asked(self) -> Iterator[None]:
        """While a request, with all its attempts and waits, is not finished."""
        if not self._asking:
            self._silent_since, self._good_at = max(self._silent_since, self.awake_s), self.awake_s
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1

    def alive(self, well: bool) -> None:
        """Note a sign of life: a byte, or an answer, even a refusal; `well` if it is what was requested."""
        self.signs += 1
        self._silent_since = max(self._silent_since, self.awake_s)
        if well:
            self._good_at = self.awake_s

    @contextmanager
    def waiting(self, seconds: float, excused: bool, cause: str) -> Iterator[None]:
        """While a request waits for its next attempt; silence during this time is ignored if it is `excused`."""
        self._trouble = cause
        if excused:
            self._silent_since = max(self._silent_since, self.awake_s + seconds)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @contextmanager
    def exchange(self, what: str) -> Iterator["_Exchange"]:
        """One attempt, which must be answered, and whose bytes must come at a minimum speed.

        Raises Disrupted, which names `what` was requested, if it is ended because of that, and Stopped if it was silent
        while the run is to stop.
        """
        one = _Exchange(self, what)
        self._under_way.add(one)
        try:
            with one.scope, heard.listening(one):
                yield one
        finally:
            self._under_way.discard(one)
        if one.scope.cancelled_caught and one.fault:
            raise (Stopped if one.given_up else Disrupted)(f"{what}: {one.fault}")

    def hurry(self) -> None:
        """From now on, give up attempts that are silent for `silent_when_stopping_s`: the run is to stop."""
        self._is_hurried = True

    def silences(self) -> list[Silence]:
        """All attempts under way."""
        return [Silence(one.what, one.came, self.awake_s - one.heard_at) for one in self._under_way]

    @property
    def is_down(self) -> bool:
        """Whether requests have waited too long for any sign of life."""
        return bool(self._asking) and self.awake_s - self._silent_since > self._settings.down_after_s

    async def watch(self) -> None:
        """Return only by raising SourceUnavailable: the source is down, or has made the run wait too long.

        Meanwhile, it ends requests that are stuck.
        """
        self._ticked_at = anyio.current_time()
        while True:
            await anyio.sleep(self._tuning.tick_s)
            self.tick()
            if self.is_down:
                raise SourceUnavailable(
                    f"the source has not answered for {self._settings.down_after_s:.0f} s; "
                    "what was committed stays, run again later"
                )
            if self._waited_s > self._settings.max_wait_s:
                raise SourceUnavailable(
                    f"the source has answered only with errors or requests to slow down for "
                    f"{self._settings.max_wait_s:.0f} s ({self._trouble}); what was committed stays, run again later"
                )

    def tick(self) -> None:
        """Count the time since the last tick, as far as this process was awake."""
        now = anyio.current_time()
        passed = min(now - (now if self._ticked_at is None else self._ticked_at), _MOST_OF_A_TICK_S)
        self._ticked_at = now
        self.awake_s += passed
        if self._waiting and self.awake_s - self._good_at > self._tuning.grace_s:
            self._waited_s += passed
        if any(one.is_busy for one in self._under_way):  # nobody listens: a slow disk is not silence
            self._silent_since = max(self._silent_since, self.awake_s)
        for one in tuple(self._under_way):
            if self._is_hurried:
                one.give_up(self.awake_s - self._tuning.silent_when_stopping_s)
            one.look(self.awake_s, len(self._under_way), self._settings)


class _Exchange:
    """One attempt, as it is heard: until it is answered, and then in windows of `read_timeout_s` each.

    Each window must bring its share of `low_speed_bytes_per_s`: a download that is slow because others use the
    connection is not stuck.
    """

    def __init__(self, liveness: Liveness, what: str) -> None:
        self._liveness, self.what = liveness, what
        self._since = self.heard_at = liveness.awake_s
        self.came, self.given_up = 0, False
        self._others = self._bytes = self._busy = 0
        self._well = False
        self.heard = False
        """Whether it had any sign of life."""
        self.scope = anyio.CancelScope()
        self.fault = ""

    def answered(self, well: bool) -> None:
        """See `heard.Listener`."""
        if not self.heard:
            self._restart()
        self.heard, self._well = True, well
        self.heard_at = self._liveness.awake_s
        self._liveness.alive(well)

    def received(self, count: int) -> None:
        """See `heard.Listener`."""
        self.heard = True
        self.heard_at = self._liveness.awake_s
        self._bytes += count
        self.came += count
        self._liveness.alive(self._well)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """See `heard.Listener`."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self.heard_at = self._liveness.awake_s
            self._restart()

    @property
    def is_busy(self) -> bool:
        """Whether received bytes are being written."""
        return self._busy > 0

    def _restart(self) -> None:
        self._since, self._bytes, self._others = self._liveness.awake_s, 0, 0

    def give_up(self, since: float) -> None:
        """End the attempt if nothing has come since then, and nobody is writing what came."""
        if self.heard_at < since and not self._busy and not self.fault:
            self.given_up = True
            self._end("given up: it was silent while the run was to stop")

    def look(self, now: float, under_way: int, settings: SourceSettings) -> None:
        """End the attempt if it is stuck."""
        self._others = max(self._others, under_way)
        if self._busy or self.fault:
            return
        if not self.heard:
            if now - self._since > (limit := settings.connect_timeout_s + settings.read_timeout_s):
                self._end(f"no answer within {limit:.0f} s")
        elif (passed := now - self._since) > settings.read_timeout_s:
            if self._bytes < settings.low_speed_bytes_per_s * passed / self._others:
                self._end(f"read timeout: {self._bytes:,} bytes in {passed:.0f} s, which is too slow")
            self._restart()

    def _end(self, fault: str) -> None:
        self.fault = fault
        self.scope.cancel()
