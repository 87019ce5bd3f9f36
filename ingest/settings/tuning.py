"""Thresholds and waits of a run, as one value. They are measured, not user settings; tests pass in others.

`Settings.tuning` carries it to where it is used.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Bytes, seconds, and counts."""

    ask_from: int = 1_000_000_000
    """Bytes above which a download must be confirmed."""

    # Downloads of large objects

    large: int = 8 << 20
    """Packed bytes from which on an object is downloaded in ranges, into a file. A day of all stocks has 0.3 MB, its
    minutes have 26."""

    range_bytes: int = 4 << 20
    """Bytes per range: small enough that a file keeps several requests busy, and that a stopping run soon reaches the
    end of one."""

    ranges_at_once: int = 4
    """Concurrent requests for one object, within the limit on downloads."""

    written_bytes: int = 1 << 20
    """Bytes of a range that are collected before they are written: a write costs a switch of threads."""

    most_grown: int = 64 << 20
    """The most bytes of an object that has replaced the listed one, unless that was half as large already."""

    most_pages: int = 1000
    """The most pages of a year's listing, of which one usually suffices: an endless listing is not a listing."""

    tell_every_s: float = 0.25
    """How often the progress of a large object is reported."""

    # Waits

    backoff_first_s: float = 1 / 16
    """The longest first wait after a fault. It is short, because most faults pass at once."""

    backoff_base: float = 4
    """Factor by which each wait after a fault may be longer than the one before: six attempts outlast an outage of some
    ten seconds, 21 at most."""

    patience_first_s: float = 0.5
    """The longest first wait after a request to slow down without a duration; the following ones double."""

    shortest_wait_s: float = 0.0
    """Each wait is drawn evenly from here up to its longest, so that what failed together does not retry together."""

    longest_wait_s: float = 20.0
    """The longest wait between two attempts that the source has not asked for."""

    longest_retry_after_s: float = 60.0
    """The longest wait that a source may ask for by Retry-After."""

    most_waited_s: float = 300.0
    """Seconds that all waits of one call may take together; then it fails, even with attempts left."""

    probe_attempts: int = 3
    """Attempts for a file that is only probed for permission: another file will do."""

    probe_waited_s: float = 5.0
    """Like `most_waited_s`, for such a file."""

    poll_first_s: float = 300.0
    """Seconds until the listing is asked again for a file that is not there yet ..."""

    poll_base: float = 2
    """... and the factor by which each such pause is longer than the one before ..."""

    poll_longest_s: float = 900.0
    """... up to this: five requests in the first hour, then four."""

    silent_when_stopping_s: float = 5.0
    """A run that is to stop finishes what is in flight, but gives up a request without a byte for so long ..."""

    tell_stopping_s: float = 2.0
    """... and says this often what it still waits for."""

    tick_s: float = 0.25
    """How often a source's liveness is judged."""

    grace_s: float = 10.0
    """Seconds without a successful answer from the source, after which the waits of requests count as waiting in
    vain."""

    yahoo_pause_s: float = 0.4
    """Seconds between two requests to Yahoo for a ticker."""

    yahoo_attempts: int = 3
    """Requests for a ticker before it counts as one without an answer."""

    yahoo_backoff_first_s: float = 1.0
    """The longest first wait after a fault of Yahoo, or a refusal; the following ones double."""

    yahoo_timeout_s: float = 15.0
    """How long yfinance waits for an answer."""

    yahoo_silences: int = 3
    """So many tickers in a row without an answer, whatever was tried, mean that Yahoo is left alone ..."""

    yahoo_rest_s: float = 600.0
    """... for so long, in seconds."""

    yahoo_s: float = 120.0
    """Seconds that Yahoo may take for all tickers together: a slow Yahoo must not block the cache."""

    yahoo_ticker_s: float = 5.0
    """Additional seconds per ticker."""

    # The object store of parts

    store_connect_s: float = 5.0
    """How long a connection to the store may take."""

    store_silent_s: float = 30.0
    """Seconds without a byte of an answer after which a read has failed."""

    store_put_s: float = 600.0
    """How long a request that writes may take: 64 MiB at 0.1 MB/s."""

    store_wait_first_s: float = 0.1
    """The longest first wait after a fault of the store; the following ones double ..."""

    store_wait_longest_s: float = 5.0
    """... up to this."""

    store_waited_s: float = 60.0
    """Seconds after which a request is not repeated any more, counted from its first attempt."""

    store_multipart: int = 64 << 20
    """Bytes above which an object is put in several requests: as one it is in memory as a whole."""

    store_chunk: int = 8 << 20
    """Bytes of each of these requests; S3 allows 10,000 of them."""

    store_chunks_at_once: int = 4
    """Requests for one such object at once, each with its bytes in memory."""

    store_gap: int = 256 << 10
    """Bytes between two wanted ranges that are read, too, since another request takes longer."""

    snapshot_every_s: float = 600.0
    """How often a long run stores a snapshot of the manifest beside the parts."""

    # Memory

    in_flight_per_packed: int = 6
    """Bytes in memory per packed byte: the body, its text (about 3 times), and both parts before they are
    packed."""

    in_flight_alone: int = 2
    """The same for a file that is split alone, since the memory for its text is counted there."""

    in_flight_spooled: int = 16 << 20
    """Bytes that a large file counts for, whatever its size: only chunks of it are in memory. Splits take more than
    downloads, and at most one per core runs."""

    min_spooled: int = 4
    """Large files in flight together, or two per core if that is more: further ones would only wait on the
    disk."""

    alone: int = 1 << 20
    """Packed bytes from which on a file is split alone, and not together with others: its text takes more than
    `ordinary`. A day of options has 4 MB."""

    at_once: int = 160 << 20
    """The most memory, in bytes, for splitting a text at once: that of a text of 32 MiB. More than `in_chunks` only if
    it is not sorted: in chunks, repeated rows are not found then."""

    at_once_per_packed: int = 20
    """Bytes of that memory per packed byte, usually 16 to 25: by this a text is taken to be too large before it is
    unpacked."""

    compared: int = 3
    """How many times the memory of a text it takes to compare it at once: each row of both versions is a string of its
    own, and the new one is cut again."""

    ordinary: int = 8 << 20
    """More than a day of stocks takes: a worker needs no further grant for this much."""

    together: int = 16 << 20
    """Memory of texts that are parsed in one query: three or four days of stocks."""

    in_chunks: int = 64 << 20
    """Memory of a text that is split in chunks, whatever its size; as many are split at once as there are cores."""

    chunk: int = 4 << 20
    """Bytes of text per chunk: what is parsed and cut at once. Half or twice as much takes as long."""

    piece: int = 1 << 20
    """Bytes of text that are unpacked at once."""

    large_member: int = 128 << 10
    """Bytes of text in a member of files that are packed in a stream: a ticker has hundreds of rows in each, and there
    are many members."""

    listed_lines: int = 100_000
    """Lines of a large correction that are kept, of those that went and of those that came. More are counted."""

    listed_characters: int = 32 << 20
    """Characters of those lines together: a line may be long."""

    @property
    def most_granted(self) -> int:
        """The most that one session takes, in bytes of memory."""
        return max(self.at_once, self.in_chunks)

    # Work

    spare_workers: int = 2
    """Split workers in addition to one per core: some always wait for the disk, for polars or for the GIL."""

    spare_small_workers: int = 1
    """The same for small sessions: a worker that takes several waits less often."""

    most_together: int = 16
    """Small sessions that a worker takes at once, if so many are waiting."""

    max_batch: int = 256
    """The most sessions in one transaction: as many as come while another one is committed, even of the smallest."""

    gather_s: float = 0.1
    """How long the committer waits for others to share a transaction, whose cost hardly depends on their number."""

    # Workers elsewhere

    task_bytes: int = 16 << 20
    """Packed bytes of a task: a worker that gets less spends its time on handing over. A large file is a task of its
    own."""

    task_sessions: int = 32
    """The most sessions in a task, however small: 8 MB of daily bars."""

    engine_tick_s: float = 0.25
    """How often a cluster is looked at: whether it is still there, and which tasks take too long."""

    backup_factor: float = 3.0
    """A task that takes so many times as long as others of its size and kind is given to another worker, too ..."""

    backup_after_s: float = 30.0
    """... but not before so many seconds."""

    most_deaths: int = 3
    """After so many deaths of workers that had a task, each of its sessions is tried alone, once."""

    carried_body: int = 1 << 20
    """The most bytes of a refused file that a worker's answer contains; more are put where the parts are."""

    # Looking

    scanned_sessions: int = 32
    """Sessions of a row a ticker that a lazy scan reads at once: about 300,000 rows where all tickers are wanted."""

    scanned_rows: int = 4 << 20
    """Rows of tickers that a filter names that it reads at once at most, as far as their number and kind tell."""

    look_again_s: float = 2.0
    """How long `verify` waits before it looks again: a run in progress commits what it has published within less."""

    little_disk: int = 1_000_000_000
    """Free bytes below which `check` says so."""


DEFAULT = Tuning()
"""The default of `Settings`."""
