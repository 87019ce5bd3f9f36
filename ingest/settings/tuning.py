"""Thresholds and waits of a run, as one value. Nobody sets them: they were measured, and tests hand in others.

`Settings.tuning` carries it to where it is used.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Bytes, seconds, and numbers of things."""

    ask_from: int = 1_000_000_000
    """Bytes from which on a download is to be confirmed."""

    # Downloads of large objects

    large: int = 8 << 20
    """Bytes of a packed object from which on it is fetched in ranges, into a file. A day of all stocks has 0.3 MB, one
    of their minutes 26."""

    range_bytes: int = 4 << 20
    """Bytes that are asked for at once: so few that a file has work for several requests, and an end of a run is
    near."""

    ranges_at_once: int = 4
    """Requests under way for one object, as far as the limit on downloads allows them."""

    tell_every_s: float = 0.25
    """How often it is told how far a large object has come."""

    # Waits

    backoff_first_s: float = 1 / 16
    """The longest first wait after a fault. Most pass at once, so it is short."""

    backoff_base: float = 4
    """Times that each wait after a fault may be longer than the one before: six attempts outlast an outage of some ten
    seconds, 21 at most."""

    patience_first_s: float = 0.5
    """The longest first wait after a wish to slow down that does not say for how long; the ones after that double."""

    shortest_wait_s: float = 0.0
    """Each wait is drawn evenly from here up to its longest: who failed together is not to come again together."""

    longest_wait_s: float = 20.0
    """The longest wait between two attempts that the source has not asked for."""

    longest_retry_after_s: float = 60.0
    """The longest wait that a source may ask for by Retry-After."""

    most_waited_s: float = 300.0
    """Seconds that all waits of one call may take together: then it fails, whatever attempts are left."""

    probe_attempts: int = 3
    """Attempts for a file that only tells what is allowed: others may, too."""

    probe_waited_s: float = 5.0
    """As `most_waited_s`, for such a file."""

    tick_s: float = 0.25
    """How often a source's liveness is judged."""

    grace_s: float = 10.0
    """Seconds without anything good from the source, beyond which the waits of requests count as waiting for
    nothing."""

    yahoo_s: float = 120.0
    """Seconds that Yahoo may take for all tickers together: one that crawls must not hold the cache."""

    yahoo_ticker_s: float = 5.0
    """Seconds for each ticker on top."""

    # Memory

    in_flight_per_packed: int = 6
    """Bytes in memory for one packed byte: the body, its text (about 3 times), both parts of it before they are
    packed."""

    in_flight_spooled: int = 16 << 20
    """Bytes that a large file counts for, however large: it is in memory in pieces alone. Splits, which take more than
    downloads, are as few as there are cores."""

    min_spooled: int = 4
    """Large files in flight together, or two a core where those are more: what is beyond would only lie on the
    disk."""

    at_once: int = 160 << 20
    """What a text that is split at once may cost, in bytes of memory: one of 32 MiB; a day of options has some
    20 MiB."""

    compared: int = 3
    """Times what a text costs that it costs to compare it at once: each row of both versions is in a string of its own,
    and the new one is cut again."""

    ordinary: int = 8 << 20
    """What a day of stocks costs, and more: so much no worker has to ask for."""

    in_chunks: int = 64 << 20
    """What a text costs that is split in chunks, however large."""

    chunk: int = 4 << 20
    """Bytes of text in a chunk: what is parsed and cut at once. Half of it, or twice as much, takes as long."""

    piece: int = 1 << 20
    """Bytes of text that are unpacked at once."""

    @property
    def most_granted(self) -> int:
        """What no session takes more than, in bytes of memory."""
        return max(self.at_once, self.in_chunks)

    # Work

    spare_workers: int = 2
    """Split workers beyond one a core: some of them always wait for the disk, for polars or for the GIL."""

    max_batch: int = 64
    """Sessions in one transaction at most."""

    gather_s: float = 0.1
    """How long the committer waits for others to share a transaction, whose cost hardly depends on their number."""


DEFAULT = Tuning()
"""What `Settings` have that were given no other."""
