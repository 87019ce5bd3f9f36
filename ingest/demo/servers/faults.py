"""What the loopback server can do wrong, and scripts that say when.

A script is asked once for each request, in the order in which they come, always in the server's thread.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple


class Request(NamedTuple):
    """One request; `key` is empty for a listing. `nth` counts the requests for a key (or for listings), from 1.

    `conditions` are its headers Range, If-Range and If-Match, by their names in small letters.
    """

    method: str
    key: str
    query: dict[str, str]
    nth: int
    conditions: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Status:
    """An error of S3 in place of the answer, such as 503 SlowDown, 429 TooManyRequests, 500 InternalError."""

    code: int
    s3_code: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Foreign:
    """An answer that is not of S3: of a firewall, a proxy, a web server."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Headers:
    """The right answer with these headers in place of its own; None takes one away."""

    headers: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class XmlError200:
    """An error of S3 in a body under status 200, as a server sends that failed after its headers."""

    s3_code: str = "InternalError"


@dataclass(frozen=True, slots=True)
class FlipByte:
    """The right length, with every bit of one byte inverted.

    `at` may count from the end; the last byte is taken where it lies outside.
    """

    at: int = -1


@dataclass(frozen=True, slots=True)
class ShortLength:
    """The last `by` bytes are missing, and Content-Length agrees: nothing in HTTP shows it."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class ShortBody:
    """Content-Length announces the whole body; the connection is closed in good order before its last `by` bytes."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class LongBody:
    """So many bytes more than there are, and Content-Length agrees: nothing in HTTP shows it."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class Heedless:
    """An answer as by a server that does not know these headers: range, if-range, if-match."""

    of: tuple[str, ...] = ("range",)


@dataclass(frozen=True, slots=True)
class Shifted:
    """Content-Range says of a part that it begins so many bytes later than the one asked for."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class Capped:
    """At most so many bytes of the part that is asked for, and Content-Range says so: no fault by RFC 9110."""

    most: int


@dataclass(frozen=True, slots=True)
class ResetBefore:
    """The connection is reset (RST) before any answer."""


@dataclass(frozen=True, slots=True)
class ResetMidway:
    """The connection is reset (RST) after so many bytes of the body."""

    after_bytes: int = 1000


@dataclass(frozen=True, slots=True)
class Silence:
    """So many bytes of the body, then nothing while the connection stays open; after `seconds` it is closed."""

    after_bytes: int = 1000
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Trickle:
    """The right answer, in pieces of so many bytes with so many seconds before each."""

    piece: int = 1
    every_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Latency:
    """The right answer, so much later."""

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
    """A 429 that says when to come back: after so many seconds, or at a time as HTTP writes it."""
    return Status(429, "TooManyRequests", (("Retry-After", str(retry_after)),))


def always(fault: Fault) -> Script:
    """Every request meets the fault."""
    return lambda request: fault


def strike_once(keys: Collection[str], fault: Fault) -> Script:
    """The first request for each of the keys meets the fault, the next ones fare well."""
    return strike(keys, fault, times=1)


def strike(keys: Collection[str], fault: Fault, times: int) -> Script:
    """The first so many requests for each of the keys meet the fault."""
    return lambda request: fault if request.key in keys and request.nth <= times else None


def strike_listing(nth: int, fault: Fault) -> Script:
    """The nth request for a page of a listing, counted from 1, meets the fault."""
    return lambda request: fault if not request.key and request.nth == nth else None


def some_of(faults: Sequence[Fault], seed: int, share: float = 1 / 3, max_strikes: int = 2) -> Script:
    """About a share of the requests for objects meets one of the faults, no key more than `max_strikes` times.

    What a request meets depends on the seed, its key and its count alone, not on the order of the requests.
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
    """The fault of the first script that has one."""

    def script(request: Request) -> Fault | None:
        found = [fault for one in scripts if (fault := one(request)) is not None]
        return found[0] if found else None

    return script
