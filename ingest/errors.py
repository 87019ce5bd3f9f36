"""The errors of this project.

    IngestError                 exit 1
    ├── UsageError              exit 2   a bad flag, setting or list
    │   ├── NotConfirmed                 a large download that nobody agreed to
    │   └── AcrossSeam                   prices on both sides of a seam, which may be two companies'
    ├── SourceError             exit 4   the source did not give what was asked
    │   ├── SourceRefused                it refuses the keys, the bucket or the request: stop
    │   ├── SourceUnavailable            it cannot be reached
    │   ├── Throttled                    it asks us to slow down; may be retried
    │   ├── Disrupted                    a transport or server fault; may be retried
    │   │   └── Unintelligible           it did answer, and nobody can read that: another try is in vain
    │   ├── Forbidden                    S3's AccessDenied: this object is not in the plan
    │   ├── ObjectReplaced               this object is not the one that was listed any more
    │   ├── Unranged                     it sends whole objects where a part was asked for
    │   ├── NotFound                     404: listed a moment ago, gone now; or a ticker that nobody has
    │   ├── Disagreement                 Yahoo's prices are not those of Massive
    │   └── ActionsUnknown               splits and dividends could not be had, so nothing can be adjusted
    ├── UnreadableFile          exit 3   a day's file that is not what it should be
    │   └── LosesRows                    it would take away more than a tenth of the rows held
    ├── Stopped                 exit 130 the user asked to stop before there was anything to finish
    ├── CacheError              exit 5   the cache cannot be written or read
    │   └── ManifestDamaged              its manifest is not what was written: it can be built anew
    └── CacheLocked             exit 6   another run holds it

Foreign errors (botocore, aiohttp, yfinance, sqlite3, OSError, pydantic) are translated at the edge that met them.
"""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from types import MappingProxyType
from typing import ClassVar

from ingest.hints import Hint, Message, Option, call, in_python


def printable(text: str) -> str:
    """A text as one line without codes for a terminal: what comes from outside may hold anything."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


class IngestError(Exception):
    """Root of the tree; its message is meant for the user, and printable whatever was quoted in it."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: object = "", *hints: Hint) -> None:
        super().__init__(message)
        self.hints = hints

    @property
    def message(self) -> str:
        """The plain sentence, without its hints: what another message quotes."""
        return _printable_lines(super().__str__())

    def __str__(self) -> str:
        return in_python(self.message, self.hints)


ONE_COMPANY = Option("across_seams", True, "if it is one company all along")


class UsageError(IngestError):
    """A flag, a setting or a list that cannot be used; the message names it and says what is allowed."""

    exit_code = 2


class NotConfirmed(UsageError):
    """A download so large that it is to be agreed to; `estimate` says in words what it will take."""

    def __init__(self, estimate: str) -> None:
        super().__init__(f"{estimate}. Nothing was downloaded", Option("yes", True, "to confirm"))
        self.estimate = estimate


class AcrossSeam(UsageError):
    """A ticker has no rows for months: what stands on both sides may be two companies', and is not adjusted as one."""

    def __init__(self, message: object = "", *hints: Hint) -> None:
        super().__init__(message, *hints or (ONE_COMPANY,))


class SourceError(IngestError):
    """The source did not give what was asked of it."""

    exit_code = 4


class SourceRefused(SourceError):
    """The source refuses the keys, the bucket or the way we ask; no other request will fare better."""


class SourceUnavailable(SourceError):
    """The source has not answered for as long as we are willing to wait."""


class Throttled(SourceError):
    """The source asks for fewer requests (503 SlowDown, 429); `retry_after_s` is its own wish, if it had one."""

    retryable = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Disrupted(SourceError):
    """A reset, a timeout, a 5xx, a body that is short or does not match its checksum."""

    retryable = True


class Unintelligible(Disrupted):
    """An answer that came and cannot be read. It is about what was asked for alone, and no sign of an outage."""

    retryable = False


class Forbidden(SourceError):
    """The object exists, and the keys' plan does not include it."""


class ObjectReplaced(SourceError):
    """The object is there, and is not the one that was asked for: another ETag, or another size."""


class Unranged(SourceError):
    """A whole object came where a part of it was asked for."""


class NotFound(SourceError):
    """The object, or the ticker, is not there."""


class Disagreement(SourceError):
    """Yahoo's prices of a ticker are not Massive's: another security, or a split that one of them lacks.

    `closes` are those of its rows, by date, as traded.
    """

    def __init__(self, message: str, closes: Mapping[date, float] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.closes = closes


class ActionsUnknown(SourceError):
    """Splits and dividends of a ticker were never had and cannot be had now; raw prices can."""


class UnreadableFile(IngestError):
    """A day's file that cannot be understood; the message says what is wrong with it."""

    exit_code = 3


class LosesRows(UnreadableFile):
    """A replacement that lacks more than a tenth of the rows held: not applied unless that is agreed to."""


class Stopped(IngestError):
    """The user asked to stop, and what was asked of the source was abandoned: nothing is lost by it."""

    exit_code = 130


class CacheError(IngestError):
    """The cache folder or the manifest cannot be read or written."""

    exit_code = 5


class ManifestDamaged(CacheError):
    """The manifest's file is not what a run leaves: no database any more, or values in it that cannot be."""

    def __init__(self, path: object, cause: object) -> None:
        super().__init__(
            f"the manifest {path} is damaged ({cause})",
            call("verify", "to move it aside and rebuild it from the stored parts", repair=True),
        )


class CacheLocked(IngestError):
    """Another run holds this cache; the message names its pid and start."""

    exit_code = 6


class IngestWarning(UserWarning):
    """What a program that reads should know of the data it gets, and may act upon."""

    def __init__(self, message: str = "", *hints: Hint) -> None:
        super().__init__(message)
        self.hints = hints

    @property
    def message(self) -> str:
        """The plain sentence, without its hints."""
        return super().__str__()

    def __str__(self) -> str:
        return in_python(self.message, self.hints)


@contextmanager
def ungrouped() -> Iterator[None]:
    """Raise the first of several errors of ours out of the group that a task group made of them.

    A group that holds anything else, a bug, stays as it is.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        ours, others = group.split(IngestError)
        if ours is None or others is not None:
            raise
        error = _first(ours)
    else:
        return
    raise error


def _first(group: BaseExceptionGroup[IngestError]) -> IngestError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def warn(message: str | Message, *hints: Hint) -> None:
    """Warn (IngestWarning) of what is missing or doubtful; printable whatever is quoted, as errors are."""
    whole = message if isinstance(message, Message) else Message(message, hints)
    said, depth = IngestWarning(_printable_lines(whole.text), *whole.hints), _depth()
    with suppress(ValueError):  # a program may have closed its stderr: what it asked for is no worse for that
        warnings.warn(said, stacklevel=depth)


def _depth() -> int:
    """How many calls of this package lie between the warning and whoever called it."""
    depth, frame = 2, sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("ingest."):
        depth, frame = depth + 1, frame.f_back
    return depth
