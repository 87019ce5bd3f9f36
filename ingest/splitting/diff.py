"""What a republished file changes: rows removed and added, and the same as changes of single values.

The difference is computed before anything is replaced, and stored in the manifest together with the intent to replace.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import zip_longest
from typing import Literal, Self

from ingest.errors import LosesRows

CorrectionKind = Literal["new etag", "same etag", "equal rows"]

_MAX_FIELD = 2**31 - 1
"""A field may be as long as its file, since the parser of the rows has no limit either."""

MAX_LOSS = 0.1
"""The share of stored rows that may be missing from a replacement. More suggests a broken file, not a correction."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Lines removed and added from one version to the next, in the order of the files.

    `columns` are those of the lines added, `old_columns` those of the lines removed. `left_out` counts the lines of a
    large difference that were not kept.
    """

    old_columns: tuple[str, ...]
    columns: tuple[str, ...]
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Correction:
    """The recorded difference that a republished file makes: whole lines of the source.

    `columns` are those of the lines added, `old_columns` those of the lines removed. `kind`: a new ETag with other
    rows, other rows under the same ETag, or a new ETag with equal rows.
    """

    session: date
    old_etag: str
    new_etag: str
    columns: tuple[str, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    kind: CorrectionKind = "new etag"
    old_columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, session: date, etags: tuple[str, str], found: Difference) -> Self | None:
        """The difference between the old and the new ETag; None if neither the rows nor the ETag changed."""
        changed, (old, new) = bool(found.removed or found.added), etags
        if old == new and not changed:
            return None
        kind: CorrectionKind = "same etag" if old == new else "new etag" if changed else "equal rows"
        rows = (found.removed, found.added)
        return cls(session, *etags, found.columns, *rows, kind=kind, old_columns=found.old_columns)


@dataclass(frozen=True, slots=True)
class Change:
    """One value that a republished file changed.

    `column` is None for a whole row, added (`old` is None) or removed (`new` is None); the value is then the file's
    line. `at` is when the change was applied, ISO 8601, UTC.
    """

    session: date
    ticker: str
    column: str | None
    old: str | None
    new: str | None
    kind: CorrectionKind
    at: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one version of a session, as lines without line ends; `columns` names their fields."""

    columns: tuple[str, ...]
    lines: Counter[str]

    @property
    def tickers(self) -> Counter[str]:
        """Rows by ticker."""
        place = self.columns.index("ticker")
        counts: Counter[str] = Counter()
        for line, count in self.lines.items():
            fields = fields_of(line)
            counts[fields[place] if place < len(fields) else ""] += count
        return counts


def rows_of(columns: Sequence[str], texts: Iterable[bytes]) -> Rows:
    """Rows of texts that each have a header, with any line ends; rows without values (blank lines) are left out."""
    return Rows(tuple(columns), Counter(line for text in texts for line in _lines(text)))


def _lines(text: bytes) -> Iterator[str]:
    # Bytes that are not text stay distinct and printable; so does a lone CR, which ends no row.
    plain = text.decode(errors="backslashreplace").replace("\r\n", "\n").replace("\r", "\\r")
    if '"' not in plain:
        yield from (line for line in plain.split("\n")[1:] if line.strip(","))
        return
    for number, fields in enumerate(_read(plain)):
        if number and any(fields):
            yield _line(fields)


def _line(fields: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(fields)  # else it does not quote line ends in fields
    return written.getvalue()[:-1]


def fields_of(line: str) -> list[str]:
    """Fields of a line."""
    return next(_read(line)) if '"' in line else line.split(",")


def _read(text: str) -> Iterator[list[str]]:
    csv.field_size_limit(_MAX_FIELD)  # csv's limit is global to the process
    return csv.reader(io.StringIO(text, newline=""))


def check_loss(before: Counter[str], after: Counter[str]) -> None:
    """Raise LosesRows if the new version lost more than a tenth of the stored rows; both count rows by ticker."""
    refuse_loss((before - after).total(), before.total())


def refuse_loss(lost: int, held: int) -> None:
    """Raise LosesRows if more than a tenth of the stored rows are lost."""
    if lost > MAX_LOSS * held:
        raise LosesRows(f"{lost:,} of the {held:,} stored rows are missing from the new file")


def difference(before: Rows, after: Rows, numeric: frozenset[str]) -> Difference:
    """What changes from one version to the next, as `compare` defines it; `numeric` columns hold numbers."""
    if before.columns != after.columns and sorted(before.columns) == sorted(after.columns):
        before = arranged(before, after.columns)
    removed, added = (tuple(some.elements()) for some in (before.lines - after.lines, after.lines - before.lines))
    return of_lines((before.columns, after.columns), removed, added, numeric)


def of_lines(
    columns: tuple[tuple[str, ...], tuple[str, ...]],
    removed: tuple[str, ...],
    added: tuple[str, ...],
    numeric: frozenset[str],
    left_out: int = 0,
) -> Difference:
    """The difference made of lines that are known to differ; removed lines use the new columns if possible.

    Rows with equal values are dropped, unless lines were left out: the counterpart of a row may be among those.
    """
    old, new = columns
    if sorted(old) != sorted(new):
        return Difference(old, new, removed, added, left_out)
    if not left_out:
        removed, added = without_equals(new, removed, added, numeric)
    return Difference(new, new, removed, added, left_out)


def without_equals(
    columns: Sequence[str], removed: Sequence[str], added: Sequence[str], numeric: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Rows removed and added, without those with equal values."""
    old, new = ([_values(columns, line, numeric) for line in lines] for lines in (removed, added))
    gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    return tuple(_chosen(removed, old, gone)), tuple(_chosen(added, new, come))


def _chosen(
    lines: Sequence[str], values: Sequence[tuple[object, ...]], counts: Counter[tuple[object, ...]]
) -> Iterator[str]:
    for line, found in zip(lines, values, strict=True):
        if counts[found] > 0:
            counts[found] -= 1
            yield line


def _values(columns: Sequence[str], line: str, numeric: frozenset[str]) -> tuple[object, ...]:
    """A row's fields, as numbers in numeric columns."""
    named = zip_longest(columns, fields_of(line))
    return tuple(_number(field) if name in numeric else field for name, field in named)


def _number(field: str | None) -> object:
    try:
        found = Decimal(field or "")
    except InvalidOperation:
        return field
    return found if found.is_finite() else field


def arranged(rows: Rows, columns: Sequence[str]) -> Rows:
    """The same rows under columns in another order; missing values are empty."""
    places = [rows.columns.index(name) for name in columns]
    arranged: Counter[str] = Counter()
    for line, count in rows.lines.items():
        fields = fields_of(line)
        arranged[_line([fields[place] if place < len(fields) else "" for place in places])] += count
    return Rows(tuple(columns), arranged)


def changes(one: Correction, at: str = "") -> Iterator[Change]:
    """A correction as single values, by ticker: the n-th row removed is compared with the n-th row added."""
    old, new = _by_ticker(one.old_columns, one.removed), _by_ticker(one.columns, one.added)
    change = partial(Change, one.session, kind=one.kind, at=at)
    for ticker in sorted({*old, *new}):
        gone, come = old.get(ticker, []), new.get(ticker, [])
        for before, after in zip(gone, come, strict=False):
            for column in dict.fromkeys([*before, *after]):
                if before.get(column) != after.get(column):
                    yield change(ticker, column, before.get(column), after.get(column))
        for row in gone[len(come) :]:
            yield change(ticker, None, _line(list(row.values())), None)
        for row in come[len(gone) :]:
            yield change(ticker, None, None, _line(list(row.values())))


def _by_ticker(columns: Sequence[str], lines: Sequence[str]) -> Mapping[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for line in lines:
        row = dict(zip(columns, fields_of(line), strict=False))
        found.setdefault(row.get("ticker", ""), []).append(row)
    return found
