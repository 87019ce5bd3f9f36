"""Faults of the loopback server, and scripts that say when they happen.

A script is called once per request, in order of arrival, always in the server's thread.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple


class Request(NamedTuple):
    """One request; `key` is empty for a listing. `nth` counts the requests for a key (or for listings), from 1.

    `conditions` has its headers Range, If-Range and If-Match, by lowercase name.
    """

    method: str
    key: str
    query: dict[str, str]
    nth: int
    conditions: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Status:
    """An S3 error instead of the answer, such as 503 SlowDown, 429 TooManyRequests, 500 InternalError.

    What was asked for has been done all the same if it `took_effect`.
    """

    code: int
    s3_code: str
    headers: tuple[tuple[str, str], ...] = ()
    took_effect: bool = False


@dataclass(frozen=True, slots=True)
class Foreign:
    """An answer that is not from S3, but from a firewall, a proxy or a web server."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Headers:
    """The right answer with these headers replaced; None removes one."""

    headers: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class XmlError200:
    """An S3 error in a body with status 200, as from a server that failed after it had sent its headers."""

    s3_code: str = "InternalError"


@dataclass(frozen=True, slots=True)
class FlipByte:
    """The right length, with every bit of one byte inverted.

    `at` may count from the end; outside the body it means the last byte.
    """

    at: int = -1


@dataclass(frozen=True, slots=True)
class ShortLength:
    """The last `by` bytes are missing, and Content-Length agrees: nothing in HTTP shows it."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class ShortBody:
    """Content-Length announces the whole body; the connection is closed cleanly before its last `by` bytes."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class LongBody:
    """`by` extra bytes, and Content-Length agrees: nothing in HTTP shows it."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class Heedless:
    """An answer as from a server that ignores these headers: range, if-range, if-match."""

    of: tuple[str, ...] = ("range",)


@dataclass(frozen=True, slots=True)
class Shifted:
    """A Content-Range that starts `by` bytes after the requested part."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class Capped:
    """At most so many bytes of the requested part, and Content-Range says so: RFC 9110 allows it."""

    most: int


@dataclass(frozen=True, slots=True)
class ResetBefore:
    """The connection is reset (RST) before any answer, and nothing has been done."""


@dataclass(frozen=True, slots=True)
class ResetAfter:
    """The connection is reset (RST) before any answer, although what was asked for has been done."""


@dataclass(frozen=True, slots=True)
class ResetMidway:
    """The connection is reset (RST) after some bytes of the body."""

    after_bytes: int = 1000


@dataclass(frozen=True, slots=True)
class Silence:
    """Some bytes of the body, then silence on an open connection, which is closed after `seconds`."""

    after_bytes: int = 1000
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Trickle:
    """The right answer, in small pieces with a pause before each."""

    piece: int = 1
    every_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Latency:
    """The right answer, delayed."""

    seconds: float


Fault = (
    Status
    | Foreign
    | Headers
    | XmlError200
    | FlipByte
    | ShortLength
    | ShortBody
    | LongBody
    | Heedless
    | Shifted
    | Capped
    | ResetBefore
    | ResetAfter
    | ResetMidway
    | Silence
    | Trickle
    | Latency
)
Script = Callable[[Request], Fault | None]

SLOW_DOWN = Status(503, "SlowDown")
INTERNAL_ERROR = Status(500, "InternalError")


CLOCK_SKEW = Status(403, "RequestTimeTooSkewed")


def too_many_requests(retry_after: int | str) -> Status:
    """A 429 with Retry-After: a number of seconds, or an HTTP date."""
    return Status(429, "TooManyRequests", (("Retry-After", str(retry_after)),))


def always(fault: Fault) -> Script:
    """Every request gets the fault."""
    return lambda request: fault


def strike_once(keys: Collection[str], fault: Fault) -> Script:
    """The first request for each key gets the fault; later ones succeed."""
    return strike(keys, fault, times=1)


def strike(keys: Collection[str], fault: Fault, times: int) -> Script:
    """The first `times` requests for each key get the fault."""
    return lambda request: fault if request.key in keys and request.nth <= times else None


def strike_listing(nth: int, fault: Fault) -> Script:
    """The nth request for a page of a listing, counted from 1, gets the fault."""
    return lambda request: fault if not request.key and request.nth == nth else None


def some_of(faults: Sequence[Fault], seed: int, share: float = 1 / 3, max_strikes: int = 2) -> Script:
    """About `share` of the requests for objects get one of the faults, no key more than `max_strikes` times.

    A request's fault depends only on the seed, its key and its count, not on the order of the requests.
    """
    strikes: Counter[str] = Counter()

    def script(request: Request) -> Fault | None:
        dice = random.Random(f"{seed} {request.key} {request.nth}")  # noqa: S311 - a script, not a secret
        if not request.key or strikes[request.key] >= max_strikes or dice.random() >= share:
            return None
        strikes[request.key] += 1
        return dice.choice(faults)

    return script


def first_of(*scripts: Script) -> Script:
    """The fault of the first script that returns one."""

    def script(request: Request) -> Fault | None:
        found = [fault for one in scripts if (fault := one(request)) is not None]
        return found[0] if found else None

    return script
