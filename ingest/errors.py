"""The exceptions of this project.

    IngestError                 exit 1
    ├── UsageError              exit 2   a bad flag, setting or list
    │   ├── WrongArgument                a wrong value of an argument, or of a flag
    │   ├── NotConfirmed                 a large download that nobody confirmed
    │   └── AcrossSeam                   prices on both sides of a gap, which may belong to two companies
    ├── SourceError             exit 4   the source did not return what was requested
    │   ├── SourceRefused                it refused the keys, the bucket or the request: stop
    │   ├── SourceUnavailable            it cannot be reached
    │   ├── Throttled                    it asked to slow down; may be retried
    │   ├── Disrupted                    a transport or server fault; may be retried
    │   │   └── Unintelligible           its answer cannot be read; retrying is useless
    │   ├── Forbidden                    S3's AccessDenied: the subscription does not include this object
    │   ├── ObjectReplaced               this object is no longer the one that was listed
    │   ├── Unranged                     it sent a whole object although a range was requested
    │   ├── NotFound                     404: listed a moment ago, gone now; or a ticker that no source has
    │   ├── Disagreement                 Yahoo's prices do not match Massive's
    │   └── ActionsUnknown               splits and dividends are not available, so prices cannot be adjusted
    ├── EngineLost              exit 4   the workers that were to do the work are gone, or cannot do it
    │   └── WorkerUnfit                  one of them is not able to: another version, no keys
    ├── UnreadableFile          exit 3   a daily file that is not valid
    │   └── LosesRows                    it would remove more than a tenth of the stored rows
    ├── Stopped                 exit 130 the user asked to stop, and there was nothing to finish
    ├── CacheError              exit 5   the cache cannot be written or read
    │   ├── ManifestDamaged              the manifest is not what was written; it can be rebuilt
    │   ├── StoreError                   nothing can be said of what is in the object store
    │   │   ├── StoreUnavailable         it does not answer, or only with errors; may be retried
    │   │   └── StoreRefused             it refuses the keys, the bucket or the request
    │   ├── StoreConflict                an object has a name that belongs to other bytes
    │   └── Superseded                   an object was replaced by somebody else
    └── CacheLocked             exit 6   another run is using it
        └── OtherWriter                  another machine is the writer of its object store

Errors of other libraries (botocore, aiohttp, yfinance, sqlite3, OSError, pydantic) are translated where they occur.
"""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from types import MappingProxyType
from typing import ClassVar

from ingest.hints import Hint, Message, Option, call, in_python


def printable(text: str) -> str:
    """A text as one line, safe to print: text from outside may contain control codes for a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


class IngestError(Exception):
    """Base class. Its message is meant for the user, and is printable whatever it quotes."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: object = "", *hints: Hint) -> None:
        super().__init__(message)
        self.hints = hints

    @property
    def message(self) -> str:
        """The plain sentence, without hints; other messages quote it."""
        return _printable_lines(super().__str__())

    def __str__(self) -> str:
        return in_python(self.message, self.hints)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle it as it is: unpickling in another process does not call `__init__` with the message again."""
        return _unpickled, (type(self), self.args), vars(self)


def _unpickled(kind: type[IngestError], args: tuple[object, ...]) -> IngestError:
    return kind.__new__(kind, *args)


ONE_COMPANY = Option("across_seams", True, "if it is one company all along")


class UsageError(IngestError):
    """An invalid flag, setting or list; the message names it and says what is allowed."""

    exit_code = 2


class WrongArgument(UsageError):
    """One or several arguments that are wrong; the command line calls them flags.

    The message begins with their names, and `words` is what follows: `'6m' is none of 5d, 6mo …`.
    """

    def __init__(self, names: str | Sequence[str], words: str, *hints: Hint) -> None:
        self.names = (names,) if isinstance(names, str) else tuple(names)
        self.words = words
        super().__init__(f"{' and '.join(self.names)} {words}", *hints)


class NotConfirmed(UsageError):
    """A download so large that it needs confirmation; `estimate` describes its size and time in words."""

    def __init__(self, estimate: str) -> None:
        super().__init__(f"{estimate}. Nothing was downloaded", Option("yes", True, "to confirm"))
        self.estimate = estimate


class AcrossSeam(UsageError):
    """Prices on two sides of a gap, or of a jump, may belong to two companies, so they are not adjusted as one."""

    def __init__(self, message: object = "", *hints: Hint) -> None:
        super().__init__(message, *hints or (ONE_COMPANY,))


class SourceError(IngestError):
    """The source did not return what was requested."""

    exit_code = 4


class SourceRefused(SourceError):
    """The source refuses the keys, the bucket or the form of the request; no other request would do better."""


class SourceUnavailable(SourceError):
    """The source has not answered for as long as a run waits."""


class Throttled(SourceError):
    """The source asks for fewer requests (503 SlowDown, 429).

    `retry_after_s` is how many seconds it asks to wait, None if it does not say.
    """

    retryable = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Disrupted(SourceError):
    """A reset, a timeout, a 5xx, a body that is too short or does not match its checksum."""

    retryable = True


class Unintelligible(Disrupted):
    """An answer that cannot be read. It concerns only what was requested, and is not a sign of an outage."""

    retryable = False


class Forbidden(SourceError):
    """The object exists, but the subscription does not include it."""


class ObjectReplaced(SourceError):
    """The object is not the one that was requested: it has another ETag, or another size."""


class Unranged(SourceError):
    """The source sent a whole object although a range was requested."""


class NotFound(SourceError):
    """The object, or the ticker, does not exist."""


class Disagreement(SourceError):
    """Yahoo's prices of a ticker do not match Massive's: another security, or a split is missing from one of the two.

    `closes` are Yahoo's closes by date, in dollars as traded.
    """

    def __init__(self, message: str, closes: Mapping[date, float] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.closes = dict(closes)


class ActionsUnknown(SourceError):
    """Splits and dividends of a ticker are neither stored nor available now; only raw prices are."""


class EngineLost(IngestError):
    """The workers of a run are gone, or cannot do what they are asked; what they had prepared is committed."""

    exit_code = 4


class WorkerUnfit(EngineLost):
    """A worker cannot do the work of this run; the message names it and what is wrong with it."""


class UnreadableFile(IngestError):
    """A daily file that cannot be read; the message says what is wrong with it."""

    exit_code = 3


class LosesRows(UnreadableFile):
    """A replacement from which more than a tenth of the stored rows are missing: not applied unless accepted."""


class Stopped(IngestError):
    """The user asked to stop, so open requests to the source were abandoned. Nothing is lost."""

    exit_code = 130


class CacheError(IngestError):
    """The cache folder or the manifest cannot be read or written."""

    exit_code = 5


class ManifestDamaged(CacheError):
    """The manifest is no longer a database, or contains invalid values."""

    def __init__(self, path: object, cause: object) -> None:
        super().__init__(
            f"the manifest {path} is damaged ({cause})",
            call("verify", "to move it aside and rebuild it from the stored parts", repair=True),
        )


class StoreError(CacheError):
    """The object store, and not what lies there: whether a part is there, and whole, is not known."""


class StoreUnavailable(StoreError):
    """The object store cannot be reached, fails, asks to slow down, or its answer was damaged on the way."""

    retryable = True


class StoreRefused(StoreError):
    """The object store refuses the keys, the bucket or the form of the request; no other request would do better."""


class StoreConflict(CacheError):
    """An object is not what its name says, and objects are never written over."""


class Superseded(CacheError):
    """An object is not, or no longer, the version that was to be replaced: somebody else has written it."""


class CacheLocked(IngestError):
    """Another run is using this cache; the message names its process id and start time."""

    exit_code = 6


class OtherWriter(CacheLocked):
    """Another machine writes to the object store of this cache; the message names it, and since when."""


class IngestWarning(UserWarning):
    """Something about the returned data that the caller should know, such as missing sessions."""

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
    """Raise the first `ingest` error of a task group's exception group instead of the group; KeyboardInterrupt, if any.

    A group that contains any other exception, which is a bug, is raised unchanged.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt):  # asyncio raises it at a second Ctrl-C, wherever the program is
            raise KeyboardInterrupt from group
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
    """Warn (IngestWarning) about missing or doubtful data; like errors, it is printable whatever it quotes."""
    whole = message if isinstance(message, Message) else Message(message, hints)
    said, depth = IngestWarning(_printable_lines(whole.text), *whole.hints), _depth()
    with suppress(ValueError):  # the program may have closed its stderr, which does not affect its data
        warnings.warn(said, stacklevel=depth)


def _depth() -> int:
    """The stack level of the first caller outside this package."""
    depth, frame = 2, sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("ingest."):
        depth, frame = depth + 1, frame.f_back
    return depth
