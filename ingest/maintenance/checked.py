"""What a check of `ingest check` found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ingest.errors import CacheError, OtherWriter, SourceError
from ingest.hints import Hint


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    `name` says what was checked, in a word ("keys", "listing"), `passed` whether it is fine, and `found` what was
    found or, if it did not pass, what is wrong. `advice` says what to do; it may be empty, and a check that passed may
    have some, too. `dataset` is the short name of the checked dataset if several are checked, else empty. `hints` are
    commands and arguments that help, as values. A run that needs what did not pass ends with `exit_code`.
    """

    exit_code: ClassVar[int] = SourceError.exit_code

    name: str
    passed: bool
    found: str
    advice: str = ""
    dataset: str = ""
    hints: tuple[Hint, ...] = ()
    needed: bool = True


class CacheCheck(Check):
    """A check of the cache, or of the object store of its parts."""

    exit_code: ClassVar[int] = CacheError.exit_code


class WriterCheck(Check):
    """A check of who writes to the object store of the parts."""

    exit_code: ClassVar[int] = OtherWriter.exit_code


Report = Callable[[Check], None]
