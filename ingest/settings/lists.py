"""The lists of tickers to track: text files with one ticker or pattern per line.

A line `@top:500` stands for the 500 most traded tickers, which others work out (see `lake.top`), and `@ibd.txt` for all
lines of another list, whose name is relative to the folder of the list that has the line.

While a file is being changed it has a backup beside it (see `rewriting`): a crash leaves both, and reading says so.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingest.errors import UsageError
from ingest.files import opening
from ingest.files.rewriting import backup_of
from ingest.market.patterns import is_pattern, meant

_MAX_LIST_BYTES = 16 << 20


_SHOWN = 60


_TOP = re.compile(r"@top:([1-9][0-9]{0,5})", re.ASCII)
_DEEPEST = 20
"""Lists that include each other in a chain."""


_SEPARATORS = frozenset(",;\"'")


@dataclass(frozen=True, slots=True)
class TrackedLists:
    """The tickers to track, and what could not be followed.

    `tickers` are sorted and unique. `missing` are optional lists that do not exist. `unnameable` are tickers whose
    file name would be too long: they cannot be tracked, and their rows go to the archive. `top` is how many of the most
    traded tickers are tracked as well: of several lines `@top:N` the largest counts.
    """

    tickers: tuple[str, ...] = ()
    missing: tuple[Path, ...] = ()
    unnameable: tuple[str, ...] = ()
    top: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is tracked."""
        return not (self.tickers or self.top)


def is_reference(name: str) -> bool:
    """Whether a line of a list is `@top:500` or the name of another list, `@ibd.txt`."""
    return name.startswith("@")


def top_of(name: str) -> int | None:
    """How many tickers a line `@top:500` stands for; None for any other line."""
    found = _TOP.fullmatch(name)
    return int(found[1]) if found else None


def read_list(path: Path) -> tuple[str, ...]:
    """The lines of a list in its order, without repeats: UTF-8, one ticker per line, `#` starts a comment.

    Raises UsageError, which names the file and the line, if the list is missing or invalid.
    """
    return tuple(dict.fromkeys(name for _, name in _lines(path, _there(path))))


def read_whole(path: Path) -> tuple[str, ...]:
    """The lines of a list and of those that it includes, without repeats; `@top:500` stays as it is.

    Raises UsageError as `read_list` does, and if lists include each other in a circle.
    """
    return tuple(dict.fromkeys(_Reading().names(path, _there(path))))


def meaning(path: Path, names: Iterable[str]) -> "TrackedLists":
    """What these lines of a list mean, in their order, without a look at whether it has them. Raises UsageError."""
    reading = _Reading()
    return _together(name for one in names for name in reading.meant(path, str(path), one, ()))


def tracked(
    name_of: Callable[[str], str | None],
    optional: Iterable[Path] = (),
    extra: Iterable[str] = (),
    required: Iterable[Path] = (),
    *,
    without: tuple[Path, Collection[str]] | None = None,
) -> TrackedLists:
    """All tickers of the lists that exist, and `extra`; `name_of` gives the name of a ticker's CSV.

    `optional` lists (from the settings) may be missing, and the result then names them; `required` ones (from flags)
    must exist. `without` are lines of a list that do not count. Raises UsageError as `read_whole` does, and for an
    invalid `extra`.
    """
    reading = _Reading(without or (Path(), ()))
    found = {path: _data(path) for path in optional}
    wanted = {name for path, data in found.items() if data is not None for name in reading.names(path, data)}
    wanted.update(name for path in required for name in reading.names(path, _there(path)))
    wanted.update(_in_settings(name) for name in extra)
    whole = _together(wanted)
    named = {name: is_pattern(name) or name_of(name) is not None for name in sorted(whole.tickers)}
    return TrackedLists(
        tickers=tuple(ticker for ticker, fits in named.items() if fits),
        missing=tuple(path for path, data in found.items() if data is None),
        unnameable=tuple(ticker for ticker, fits in named.items() if not fits),
        top=whole.top,
    )


def _together(names: Iterable[str]) -> TrackedLists:
    """Tickers and patterns as they are stored, each once, and the largest top."""
    found = list(names)
    top = max((count for name in found if (count := top_of(name))), default=0)
    return TrackedLists(tuple(dict.fromkeys(meant(name for name in found if not is_reference(name)))), top=top)


def _in_settings(name: str) -> str:
    place = "the setting [tracked] tickers"
    if is_reference(_checked(name, place)) and not top_of(name):
        raise UsageError(f"{place}: {name!a} is neither a ticker nor @top:500; lists belong into [tracked] lists")
    return name


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads lists with those that they include, each once; `without` are lines of one of them that do not count."""

    without: tuple[Path, Collection[str]] = (Path(), ())
    seen: set[Path] = field(default_factory=set)

    def names(self, path: Path, data: bytes, within: tuple[Path, ...] = ()) -> Iterator[str]:
        """All lines of a list, with those of the lists that it includes in the place of their names."""
        file, left_out = self.without
        self.seen.add(path.resolve())
        for place, name in _lines(path, data):
            if path != file or name not in left_out:
                yield from self.meant(path, place, name, within)

    def meant(self, path: Path, place: str, name: str, within: tuple[Path, ...]) -> Iterator[str]:
        """What a line means: itself, or all lines of another list."""
        if not is_reference(check_reference(name, place)) or top_of(name):
            yield name
            return
        other, chain = path.parent / Path(name[1:]), (*within, path)
        data = _data(other)
        if data is None:
            raise UsageError(f"{place}: the list {other} does not exist")
        _check_chain(place, other, chain)
        if other.resolve() not in self.seen:
            yield from self.names(other, data, chain)


def _check_chain(place: str, other: Path, chain: tuple[Path, ...]) -> None:
    """Raise UsageError if a list includes itself, by way of others or not."""
    if other.resolve() in (one.resolve() for one in chain):
        told = " includes ".join(one.name for one in (*chain, other))
        raise UsageError(f"{place}: lists include each other in a circle ({told})")
    if len(chain) > _DEEPEST:
        raise UsageError(f"{place}: more than {_DEEPEST} lists include each other in a chain")


def _there(path: Path) -> bytes:
    data = _data(path)
    if data is None:
        raise UsageError(f"the list {path} does not exist")
    return data


def checked(tickers: Iterable[str], place: str, how: str) -> tuple[str, ...]:
    """Tickers without repeats.

    Raises UsageError for one that a list could not hold; it names the place, and says how to write several there.
    """
    return tuple(dict.fromkeys(_checked(ticker, place, how) for ticker in tickers))


def _data(path: Path) -> bytes | None:
    try:
        data = opening.read(path, _MAX_LIST_BYTES, linked=True)
        backup = backup_of(Path(path).resolve())
        is_changing = opening.is_there(backup)
    except FileNotFoundError:
        return None
    except opening.NotAFile as error:
        raise UsageError(f"the list {path} cannot be read: {error.strerror}") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise UsageError(f"the list {path} cannot be read: {error}") from error
    if is_changing:
        raise UsageError(
            f"the list {path} is being changed, or the change was cut short: {backup} is what it was before. "
            "If nobody is changing it now, compare the two and remove that file"
        )
    return data


def _lines(path: Path, data: bytes) -> Iterator[tuple[str, str]]:
    """Each line that says something, after its place."""
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        place = f"{path}, line {number}"
        try:
            text = line.decode().partition("#")[0].strip()
        except UnicodeDecodeError as error:
            raise UsageError(f"{place}: this is not UTF-8; save the list as UTF-8 text") from error
        if text:
            yield place, check_reference(_checked(text, place), place)


def check_reference(name: str, place: str) -> str:
    """A line of a list; raises UsageError if it begins with @ and is neither `@top:500` nor the name of a list."""
    if name == "@" or (name.startswith("@top") and not Path(name).suffix and not top_of(name)):
        raise UsageError(f"{place}: {name[:_SHOWN]!a}: write @top:500, or @ and the name of another list")
    return name


def check_names(tickers: Iterable[str]) -> None:
    """Raise UsageError for what cannot be a ticker among the arguments of a call or a command."""
    for ticker in tickers:
        _checked(ticker, "tickers", "name each ticker by itself")


def _checked(ticker: str, place: str, how: str = "write one ticker a line") -> str:
    # An invisible character, pasted in by accident, would make a ticker that never appears in any file.
    strange = next((char for char in ticker if char in _SEPARATORS or char == " " or not char.isprintable()), None)
    if strange is None and ticker:
        return ticker
    fault = f"the character {strange!a}" if strange else "no ticker at all"
    shown = ascii(ticker) if len(ticker) <= _SHOWN else f"{ticker[:_SHOWN]!a}…"
    raise UsageError(f"{place}: {shown} has {fault}; {how}, as the vendor spells it")
