"""Compares one session with its parts: whether they are the files that were written, with no row lost."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from ingest.cache import part_record
from ingest.cache.layout import MemberIndex, PartKey
from ingest.cache.manifest import SessionRecord
from ingest.cache.parts import note
from ingest.cache.parts.store import Readable, hash_of
from ingest.errors import UnreadableFile
from ingest.files import opening as files
from ingest.maintenance.verify.evidence import Evidence, at_hand
from ingest.maintenance.verify.problems import Kind, Problem
from ingest.maintenance.verify.texts import PartLines, sha256_together
from ingest.market.datasets import Tier
from ingest.splitting import row_numbers


@dataclass(frozen=True, slots=True)
class SessionCheck:
    """The result for one session: its problems, its parts and their bytes, and how many parts were not read."""

    problems: tuple[Problem, ...]
    files: int
    bytes: int
    listed: int


def check_session(
    record: SessionRecord, tracked: frozenset[str], evidence: Evidence, root: Path, deep: bool
) -> SessionCheck:
    """Compare a session's record with its parts; with `deep`, also their text with the source's.

    `tracked` are the tickers by which it was split, according to the manifest.
    """
    with at_hand(evidence, record) as parts:
        return _Checking(record, evidence, parts, root, deep).check(tracked)


@dataclass(frozen=True, slots=True)
class _Checking:
    """A session whose record is compared with its parts."""

    record: SessionRecord
    evidence: Evidence
    parts: Readable
    root: Path
    deep: bool

    def check(self, tracked: frozenset[str]) -> SessionCheck:
        record, read = self.record, dict[Tier, int]()
        problems = [self._problem("damaged", "manifest", why) for why in _contradictions(record)]
        for tier in record.part_sha256:
            problems += self._of_part(record.part(tier), read)
        whole = not problems
        if whole and self._is_read(record.part("tracked")) and not _says_the_same(record, tracked, self.parts):
            why = "it does not match what the tracked part says about itself"
            problems.append(self._problem("damaged", "manifest", why))
        if whole and self.deep:
            problems += [self._problem("damaged", str(record.session), why) for why in _lost(record, self.parts)]
        listed = sum(not self._is_read(record.part(tier)) for tier in read)
        return SessionCheck(tuple(problems), len(read), sum(read.values()), listed)

    def _of_part(self, part: PartKey, read: dict[Tier, int]) -> list[Problem]:
        """The problems of a part, whose size is added to `read`."""
        name = self.evidence.parts.described(part).removeprefix(f"{self.root}{os.sep}")
        try:
            size = read[part.tier] = self.parts.size(part)
            if self._is_read(part):
                wrong = _wrong(self.record, self.parts, part, size)
            else:
                wrong = _out_of_place(self.record, part, size)
            return [self._problem("damaged", name, why) for why in wrong]
        except FileNotFoundError:
            return [self._problem("missing", name, "the file is gone")]
        except OSError as error:
            return [self._problem("damaged", name, files.why_unread(error))]

    def _is_read(self, part: PartKey) -> bool:
        """Whether the bytes of a part are read."""
        return self.deep or not self.evidence.vouches_for(part)

    def _problem(self, kind: Kind, what: str, why: str) -> Problem:
        return Problem(kind, "session", what, why, self.record.session)


def _contradictions(record: SessionRecord) -> Iterator[str]:
    """Row conservation: every row of the source is in one part, or was dropped on purpose."""
    parts = record.tracked_rows + record.archive_rows + record.dropped_rows
    if parts != record.source_rows:
        yield f"the source file had {record.source_rows:,} rows, but its parts have {parts:,}"
    if record.archive_kept != (record.archive_sha256 is not None) or (record.archive_kept and record.dropped_rows):
        yield "it contradicts itself about whether the other tickers were stored"
    if not _ascend(record):
        yield "the row numbers of its tracked part are wrong"


def _says_the_same(record: SessionRecord, tracked: frozenset[str], store: Readable) -> bool:
    """Whether a tracked part that describes itself agrees with this; one of an older version does not describe itself.

    A deleted ETag is not a contradiction: its session will be downloaded again.
    """
    with store.open(record.part("tracked")) as file:
        said = part_record.read_record(file)
    if said is None:
        return True
    unsaid = replace(record, tracked_set=0, last_modified="", etag=record.etag or said.record.etag)
    return said.tickers == tracked and replace(said.record, findings=()) == unsaid


def _ascend(record: SessionRecord) -> bool:
    try:
        runs = row_numbers.decode(record.tracked_row_numbers)
    except ValueError:
        return False
    return runs.rows == record.tracked_rows and runs.ascend_below(record.source_rows)


def _wrong(record: SessionRecord, store: Readable, part: PartKey, size: int) -> Iterator[str]:
    if hash_of(store, part) != record.part_sha256[part.tier]:
        yield f"not the file that was written: the sha256 of its {size:,} bytes differs"
        return
    yield from _out_of_place(record, part, size, lambda: _without_note(store, part))


def _out_of_place(
    record: SessionRecord, part: PartKey, size: int, without_note: Callable[[], int | None] | None = None
) -> Iterator[str]:
    """How the index contradicts the size of a part, which may have a note behind its text."""
    try:
        index = MemberIndex.decode(record.part_index[part.tier])
    except ValueError:
        yield "its index in the manifest cannot be read"
        return
    end = index.offsets[-1]
    reaches = end == size or (end < size if without_note is None else end == without_note())
    if index.offsets[0] != 0 or not reaches or any(a >= b for a, b in pairwise(index.offsets)):
        yield "it does not match its index in the manifest"


def _without_note(store: Readable, part: PartKey) -> int | None:
    """Length of a part without the note at its end; None if it has none."""
    with store.open(part) as file:
        found = note.take_tail(file)
    return found[1] if found else None


def _lost(record: SessionRecord, store: Readable) -> Iterator[str]:
    """What the texts reveal: members that are not where the index says, rows that differ from those that came."""
    read: dict[Tier, PartLines] = {}
    try:
        for tier, index in record.part_index.items():
            read[tier] = PartLines(store, record.part(tier), MemberIndex.decode(index))
        wrong = list(_rows_lost(record, read))
    except (UnreadableFile, OSError) as error:
        yield f"its parts cannot be unpacked: {error}"
        return
    for tier, part in read.items():
        if not _begin_as_indexed(part, record.columns):
            yield f"the members of its {tier} part do not begin with the tickers of the index"
    yield from wrong


def _begin_as_indexed(part: PartLines, columns: tuple[str, ...]) -> bool:
    """Whether each member begins with its ticker; checked for ordered parts, the only ones with lookups by ticker."""
    if not part.index.ordered:
        return True
    lines = [first.removesuffix(b"\n") + b"\n" for first in part.firsts]
    return _tickers(b"".join(lines), columns) == list(part.index.firsts)


def _tickers(rows: bytes, columns: tuple[str, ...]) -> list[str] | None:
    """The ticker of each row; None if the text, or its column names, are not what was written."""
    import polars as pl  # only for `deep`

    from ingest.cache.parts.lines import parse_lines

    try:
        return parse_lines(rows, columns, {"ticker": pl.String()})["ticker"].fill_null("").to_list()
    except (pl.exceptions.PolarsError, TypeError):
        return None


def _rows_lost(record: SessionRecord, read: Mapping[Tier, PartLines]) -> Iterator[str]:
    by_lines = record.cut == "lines"
    text_sha256 = record.text_sha256
    if by_lines and record.archive_kept:
        runs = row_numbers.decode(record.tracked_row_numbers)
        text_sha256 = sha256_together(read["tracked"], read["archive"], runs, record.source_rows)
    counts = {"tracked": record.tracked_rows, "archive": record.archive_rows}
    for tier, part in read.items():
        rows = part.count() if by_lines else _parsed_rows(part, record.columns)
        if rows != counts[tier]:
            yield f"its {tier} part has {rows:,} rows, but {counts[tier]:,} were written"
            return
    if text_sha256 != record.text_sha256:
        yield "its parts together are not the original text"


def _parsed_rows(part: PartLines, columns: tuple[str, ...]) -> int:
    return sum(len(_tickers(chunk, columns) or ()) for chunk in part.chunks())
