"""The lists of tickers to track: text files with one ticker or pattern per line.

While a file is being changed it has a backup beside it (see `rewriting`): a crash leaves both, and reading says so.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import UsageError
from ingest.files import opening
from ingest.files.rewriting import backup_of
from ingest.market.patterns import is_pattern, meant

_MAX_LIST_BYTES = 16 << 20


_SHOWN = 60


_SEPARATORS = frozenset(",;\"'")


@dataclass(frozen=True, slots=True)
class TrackedLists:
    """The tickers to track, and what could not be followed.

    `tickers` are sorted and unique. `missing` are optional lists that do not exist. `unnameable` are tickers whose
    file name would be too long: they cannot be tracked, and their rows go to the archive.
    """

    tickers: tuple[str, ...] = ()
    missing: tuple[Path, ...] = ()
    unnameable: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is tracked."""
        return not self.tickers


def read_list(path: Path) -> tuple[str, ...]:
    """The tickers of a list in its order, without repeats: UTF-8, one per line, `#` starts a comment.

    Raises UsageError, which names the file and the line, if the list is missing or invalid.
    """
    data = _data(path)
    if data is None:
        raise UsageError(f"the list {path} does not exist")
    return tuple(dict.fromkeys(_tickers(path, data)))


def tracked(
    name_of: Callable[[str], str | None],
    optional: Iterable[Path] = (),
    extra: Iterable[str] = (),
    required: Iterable[Path] = (),
) -> TrackedLists:
    """All tickers of the lists that exist, and `extra`; `name_of` gives the name of a ticker's CSV.

    `optional` lists (from the settings) may be missing, and the result then names them; `required` ones (from flags)
    must exist. Raises UsageError as `read_list` does, and for an invalid `extra`.
    """
    found = {path: _data(path) for path in optional}
    wanted = {ticker for path, data in found.items() if data is not None for ticker in _tickers(path, data)}
    wanted.update(ticker for path in required for ticker in read_list(path))
    wanted.update(_checked(ticker, "the setting [tracked] tickers") for ticker in extra)
    named = {name: is_pattern(name) or name_of(name) is not None for name in sorted(set(meant(wanted)))}
    return TrackedLists(
        tickers=tuple(ticker for ticker, fits in named.items() if fits),
        missing=tuple(path for path, data in found.items() if data is None),
        unnameable=tuple(ticker for ticker, fits in named.items() if not fits),
    )


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


def _tickers(path: Path, data: bytes) -> Iterator[str]:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        place = f"{path}, line {number}"
        try:
            text = line.decode().partition("#")[0].strip()
        except UnicodeDecodeError as error:
            raise UsageError(f"{place}: this is not UTF-8; save the list as UTF-8 text") from error
        if text:
            yield _checked(text, place)


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
