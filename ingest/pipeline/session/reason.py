"""Why a download cannot be read: the reason that is kept with its bytes names line, ticker, column and value.

Nothing of this is done for a file that can be read. The file is read again from its start, so that a text that was
split at once and one that was split in chunks give the same reason.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ingest.cache.parts import members
from ingest.errors import UnreadableFile, printable
from ingest.files import durable, opening
from ingest.market.datasets import Dataset
from ingest.pipeline.session.body import SessionText, cost_of, pieces_of
from ingest.settings.tuning import Tuning
from ingest.sources.base import Body
from ingest.splitting.placing import Misplaced
from ingest.splitting.unreadable.leaving_out import ReadableRows
from ingest.splitting.unreadable.locating import lines_near, locate

_MOST_CHARACTERS = 200
_MOST_LEFT_OUT = 0.1


@dataclass(frozen=True, slots=True)
class AtFault:
    """The lines at fault in a text that cannot be read, and their neighbours, by number; printable, cut to a width.

    `bad_rows` is the number of rows that cannot be read; 0 if they are not all that is wrong.
    """

    lines: Mapping[int, str]
    bad_rows: int


@dataclass(frozen=True, slots=True)
class RefusedText:
    """The text of a file that was refused, as far as it can be unpacked; `limit` is in bytes of text."""

    body: Body
    dataset: Dataset
    limit: int
    tuning: Tuning

    def pieces(self) -> Iterator[bytes]:
        """The text, as far as it can be unpacked, from its start each time. Raises CacheError."""
        body = self.body
        if body.path is None:
            yield from members.readable(body.open(), self.limit)
            return
        with durable.translated("read", body.path), opening.to_read(body.path) as file:
            yield from members.readable(file, self.limit)

    def reason(self, error: UnreadableFile) -> str:
        """The reason of a refusal that ended with this error. Raises CacheError."""
        torn = self._torn()
        found = locate(self.pieces(), self.dataset, search=torn is None)
        if torn:
            return f"{torn}; what can be unpacked ends with {found.last}" if found.last else str(torn)
        if isinstance(error, Misplaced) and found.first:
            return f"{error.message}; its first row is {found.first}"
        if not found.bad:
            return error.message
        if found.bad[0].number == 1:
            return f"line 1: {error.message}"
        more = found.count - 1
        others = f" and {more:,} more line{'s' if more > 1 else ''}" if more else ""
        return f"the rows cannot be parsed: {found.bad[0]}{others}" + ("" if found.is_all else " at least")

    def look(self) -> "AtFault":
        """What is at fault. Raises CacheError."""
        torn = self._torn()
        found = locate(self.pieces(), self.dataset, search=torn is None)
        numbers = [found.last.number] if torn and found.last else [one.number for one in found.bad]
        lines = lines_near(self.pieces(), numbers)
        only_rows = not torn and found.is_all and found.count and found.bad[0].number > 1
        return AtFault({number: _printable(line) for number, line in lines.items()}, found.count if only_rows else 0)

    def without_bad_rows(self) -> SessionText:
        """The text without the rows that cannot be read, with the finding on them; each pass looks for them again.

        Raises UnreadableFile if there is more to it than bad rows, or if they are more than a tenth of all; CacheError.
        """
        rows = ReadableRows(lambda: pieces_of(self.body, self.limit, self.tuning.piece), self.dataset)
        left_out, of = rows.left_out()
        if left_out.count > _MOST_LEFT_OUT * of:
            raise UnreadableFile(f"{left_out.count:,} of its {of:,} rows cannot be read, more than a tenth")
        if (
            ReadableRows(rows.pieces, self.dataset).left_out()[0].count
        ):  # a quote that opened in one row and closed in another
            raise UnreadableFile("its bad rows cannot be told apart from the others")
        most, found = self.tuning.at_once, (left_out,) if left_out.count else ()
        cost = cost_of(rows.pieces(), most)
        whole = b"".join(rows.pieces()) if cost <= most else None
        return SessionText(whole, rows.pieces, cost if whole else 0, findings=found)

    def _torn(self) -> UnreadableFile | None:
        """Why the file cannot be unpacked to its end."""
        try:
            deque(pieces_of(self.body, self.limit, self.tuning.piece), maxlen=0)
        except UnreadableFile as error:
            return error
        return None


def _printable(line: bytes) -> str:
    return printable(line.decode(errors="backslashreplace").rstrip("\r"))[:_MOST_CHARACTERS]
