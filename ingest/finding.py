"""What is odd about a session's file. Findings are stored and reported; the rows that are stored stay unchanged."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from ingest.errors import printable
from ingest.market.epochs import UNITS

UNKNOWN_COLUMN: Final = "unknown column"
MISFITS: Final = "rows with too few or too many fields"
WITHIN_QUOTES: Final = "line ends within quotes: rows of several lines"
NAMELESS: Final = "rows without a ticker"
IDENTICAL: Final = "identical repeat"
CONFLICTING: Final = "conflicting repeat"
UNSORTED: Final = "a large file not sorted by ticker: repeats were not looked for"
NO_ROWS: Final = "no rows"
CROSSED: Final = "low above high"
OUTSIDE: Final = "open or close outside low to high"
NOT_POSITIVE: Final = "negative or zero price"
NO_PRICE: Final = "price missing or not finite"
NEGATIVE_VOLUME: Final = "negative volume"
NO_VOLUME: Final = "volume missing or too large"
OTHER_DATE: Final = "stamps of another date than the key's"
NO_STAMP: Final = "stamps that are no time"
IN_UNIT: Final = {unit: f"stamps in {unit}" for unit in UNITS}
LEFT_OUT: Final = "rows that cannot be read, left out"
FAR_COUNT: Final = "number of rows far from the neighbours'"
UNLISTED: Final = "changed rows of a correction that are not listed"
NOT_MD5: Final = "the ETag is not the md5 of the bytes"
NOT_YAHOOS: Final = "close that is not Yahoo's"

KINDS = (
    UNKNOWN_COLUMN,
    MISFITS,
    WITHIN_QUOTES,
    NAMELESS,
    IDENTICAL,
    CONFLICTING,
    UNSORTED,
    NO_ROWS,
    CROSSED,
    OUTSIDE,
    NOT_POSITIVE,
    NO_PRICE,
    NEGATIVE_VOLUME,
    NO_VOLUME,
    OTHER_DATE,
    NO_STAMP,
    *IN_UNIT.values(),
    LEFT_OUT,
    FAR_COUNT,
    UNLISTED,
    NOT_MD5,
    NOT_YAHOOS,
)
"""All kinds."""

MAX_EXAMPLES = 100
"""How many names a finding stores; `count` counts all."""

_MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of oddity in a session.

    `kind` is one of the kinds above. `count` is a number of rows (of tickers for repeats, of columns for unknown ones).
    `examples` names the first ones: tickers, columns or dates, as text.
    """

    kind: str
    count: int = 1
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = f": {', '.join(self.examples[:3])}" if self.examples else ""
        more = f" and {self.count - 3:,} more" if named and self.count > 3 else ""
        return f"{self.kind}{named}{more}" if named else f"{self.kind}: {self.count:,}"


def example(name: str) -> str:
    """A name as an example: printable, and short enough for a line."""
    return printable(name[:_MAX_NAME])


def finding_on(kind: str, names: Collection[str]) -> tuple[Finding, ...]:
    """A finding on all these names; none if there are no names."""
    return (Finding(kind, len(names), tuple(map(example, tuple(names)[:MAX_EXAMPLES]))),) if names else ()


class Findings:
    """Findings on a file that is checked in chunks, added up by kind."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def add(self, more: Iterable[Finding]) -> None:
        """Add the findings of the next chunk."""
        for one in more:
            before = self._found.get(one.kind, Finding(one.kind, 0))
            examples = (*before.examples, *one.examples)
            if one.kind == OTHER_DATE:  # its examples are dates, which chunks may share
                examples = tuple(sorted(set(examples)))
            self._found[one.kind] = Finding(one.kind, before.count + one.count, examples[:MAX_EXAMPLES])

    def all(self) -> tuple[Finding, ...]:
        """All of them, in the order of the kinds."""
        return tuple(self._found[kind] for kind in KINDS if kind in self._found)
