"""Tickers: how one becomes a file name and back, and the lists of those that are watched.

Case counts in tickers (`TpC` and `TPC` live at the same time) and does not in many file systems, and a ticker from
outside may hold anything. A file name therefore has nothing in it but ASCII letters, digits and `. - _ %`, and two
tickers never share one, with or without case.

A list may hold patterns, too: in `O:SPY*` and `X:???-USD` a `*` is any run of characters and a `?` any one. No ticker
holds either, so a pattern is told by them. `O:SPY` is the root of options, which is no ticker itself: it means all of
its contracts, whose tickers go on with exactly fifteen characters (OCC's expiry, C or P, and strike), and none of SPYD
or SPY1. It is kept as that pattern (`meant`), and told as it was written.
"""

import fnmatch
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ingest import files
from ingest.errors import UsageError

MAX_NAME_BYTES = 255
_MAX_LIST_BYTES = 16 << 20
_SHOWN = 60
_AT_ONCE = 500
"""Patterns in one regular expression: with thousands its automaton does not fit into its cache any more."""

# What Windows takes for a device, whatever follows the first dot; its COM¹ and CONIN$ never survive the encoding.
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])\.")
_CODE = re.compile(r"[A-Z0-9.-]|_[a-z]|(?:%[0-9A-F]{2})+")
_CODES = re.compile(rf"(?:{_CODE.pattern})+")
_ROOT = re.compile(r"O:[A-Z][A-Z0-9]{0,5}")
_CONTRACT = "?" * len("251219C00650000")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_SEPARATORS = frozenset(",;\"'")


@dataclass(frozen=True, slots=True)
class TrackedLists:
    """The tickers to track and what was wrong with the wish.

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


def meant(names: Iterable[str]) -> list[str]:
    """Names as they are kept: a root of options as the pattern of its contracts."""
    return [f"{name}{_CONTRACT}" if _ROOT.fullmatch(name) else name for name in names]


def written(name: str) -> str:
    """A name as people write it: inverse of `meant`."""
    root = name.removesuffix(_CONTRACT)
    return root if root != name and _ROOT.fullmatch(root) else name


def is_pattern(name: str) -> bool:
    """Whether a name of a list stands for all tickers that match it."""
    return "*" in name or "?" in name


def patterns_in(names: Iterable[str]) -> frozenset[str]:
    """The patterns among names of lists."""
    return frozenset(filter(is_pattern, names))


@lru_cache(maxsize=64)
def covered(names: frozenset[str], wanted: frozenset[str]) -> frozenset[str]:
    """Those of the wanted names that are among `names`, or that a pattern among these matches.

    A wanted name may be a pattern: it is covered where all its tickers are sure to be.
    """
    there = wanted & names
    if matches := _matcher(names):
        return there | {name for name in wanted - there if matches(name)}
    return there


def covers(names: frozenset[str], name: str) -> bool:
    """Whether a name is among `names`, or a pattern among these matches it, as a whole and with its case."""
    return name in names or bool((matches := _matcher(names)) and matches(name))


def matching(pattern: str, ordered: Sequence[str]) -> Sequence[str]:
    """Those of the tickers, ascending, that a pattern matches; only those that begin as it does are looked at."""
    prefix, matches = prefix_of(pattern), _matcher(frozenset({pattern}))
    first = bisect_left(ordered, prefix)
    end = bisect_right(ordered, prefix, first, key=lambda ticker: ticker[: len(prefix)])
    return [ticker for ticker in ordered[first:end] if matches and matches(ticker)]


@lru_cache(maxsize=64)
def regexes(names: frozenset[str]) -> tuple[str, ...]:
    """The patterns among names for an engine that knows no way back, such as polars': a ticker matches one of these."""
    parts = [
        "".join({"*": "(?s:.*)", "?": "[^*]"}.get(char, re.escape(char)) for char in pattern)
        for pattern in sorted(patterns_in(names))
    ]
    return tuple(f"^(?:{'|'.join(parts[at : at + _AT_ONCE])})$" for at in range(0, len(parts), _AT_ONCE))


def prefix_of(pattern: str) -> str:
    """How all tickers begin that match a pattern."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]


@lru_cache(maxsize=64)
def _matcher(names: frozenset[str]) -> Callable[[str], bool] | None:
    """The patterns among names for Python; None where there are none.

    Nearly all are a beginning and a star: many of those are looked up, and not tried one after the other.
    """
    patterns = patterns_in(names)
    simple = frozenset(one for one in patterns if one == f"{prefix_of(one)}*")
    beginnings = frozenset(map(prefix_of, simple))
    lengths = sorted(set(map(len, beginnings)))
    expression = _expression(patterns - simple)

    def matches(name: str) -> bool:
        return any(name[:length] in beginnings for length in lengths) or bool(expression and expression.match(name))

    return matches if patterns else None


def _expression(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """Any of these patterns: `translate` makes what never goes back over a star.

    A `?` does not match a star: so a pattern that is matched is one of which all tickers are.
    """
    literal = [one.replace("[", "[[]").replace("?", "[!*]") for one in sorted(patterns)]
    return re.compile("|".join(map(fnmatch.translate, literal))) if literal else None


def some(tickers: Sequence[str], most: int = 5) -> str:
    """Tickers in words: the first ones by name, and how many more there are."""
    more = f" and {len(tickers) - most} more" if len(tickers) > most else ""
    return f"{', '.join(map(written, tickers[:most]))}{more}"


def file_stem(ticker: str) -> str:
    """`BACpL` → `BAC_pL`, `O:SPY` → `O%3ASPY`, `CON.A` → `CON%2EA`: ASCII, reversible, unique even without case.

    Raises UsageError for a ticker that is empty or no Unicode text (a lone surrogate).
    """
    if not ticker:
        raise UsageError("an empty ticker cannot be stored")
    stem = "".join(map(_encoded, ticker))
    device = _DEVICE.match(stem)
    # A leading dot would hide the file, and macOS takes `._` for a companion of another file.
    dot = 0 if stem.startswith(".") else device.end() - 1 if device else -1
    return stem if dot < 0 else f"{stem[:dot]}%2E{stem[dot + 1 :]}"


def ticker_of(stem: str) -> str:
    """The ticker whose `file_stem` this is. Raises UsageError if there is none."""
    try:
        ticker = "".join(map(_decoded, _CODE.findall(stem))) if _CODES.fullmatch(stem) else ""
    except UnicodeDecodeError:
        ticker = ""
    # Only what file_stem would write counts: `%41` is a way to spell A, and not the name of any file here.
    if not ticker or file_stem(ticker) != stem:
        raise UsageError(f"{stem!r} is not the file name of a ticker")
    return ticker


def read_list(path: Path) -> tuple[str, ...]:
    """The tickers of a list in its order, without repeats: UTF-8, one a line, `#` starts a comment.

    Raises UsageError, which names the file and the line, for a list that is missing or that cannot be understood.
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
    """What is watched: all tickers of the lists that exist, and `extra`; `name_of` gives the name of a ticker's CSV.

    `optional` lists (from the settings) may be missing and are then named in the result; `required` ones (from
    flags) must exist. Raises UsageError as `read_list` does, and for an `extra` that is no ticker.
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


def _encoded(char: str) -> str:
    if char in _PLAIN:
        return char
    if char in _LOWER:
        return f"_{char}"
    try:
        return "".join(f"%{byte:02X}" for byte in char.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"a ticker with the character {char!a}, which is no text, cannot be stored") from error


def _decoded(code: str) -> str:
    if code[0] == "%":
        return bytes.fromhex(code.replace("%", "")).decode()
    return code.removeprefix("_")


def backup_of(path: Path) -> Path:
    """Where the content of a list is that is being written into, until the new one is durable."""
    return path.with_name(f"{path.name}.ingest-backup")


def _data(path: Path) -> bytes | None:
    try:
        data = files.read(path, _MAX_LIST_BYTES, linked=True)
        backup = backup_of(Path(path).resolve())
        is_changing = files.is_there(backup)
    except FileNotFoundError:
        return None
    except files.NotAFile as error:
        raise UsageError(f"the list {path} cannot be read: {error.strerror}") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise UsageError(f"the list {path} cannot be read: {error}") from error
    if is_changing:
        raise UsageError(
            f"the list {path} is being changed, or the change was cut short: {backup} is what it was before. "
            "Where no `ingest track` is going on, compare the two and remove that file"
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


def _checked(ticker: str, place: str) -> str:
    # An invisible character, pasted along, would make a ticker that never appears in any file.
    strange = next((char for char in ticker if char in _SEPARATORS or char == " " or not char.isprintable()), None)
    if strange is None and ticker:
        return ticker
    fault = f"the character {strange!a}" if strange else "no ticker at all"
    shown = ascii(ticker) if len(ticker) <= _SHOWN else f"{ticker[:_SHOWN]!a}…"
    raise UsageError(f"{place}: {shown} has {fault}; write one ticker a line, as the vendor spells it")
