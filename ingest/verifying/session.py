"""One session held against its parts: that they are the files that were written, and that no row is lost in them."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ingest import stamping
from ingest.errors import UnreadableFile
from ingest.manifest import SessionRecord
from ingest.tiers import blockgzip
from ingest.tiers.layout import MemberIndex, PartFolders, Tier
from ingest.verifying.problems import Problem


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one session: its problems, and the files and bytes that were read for it."""

    problems: tuple[Problem, ...]
    files: int
    bytes: int


def look(record: SessionRecord, tracked: frozenset[str], folders: PartFolders, root: Path, deep: bool) -> Look:
    """Compare a session's record with its parts; where it is `deep`, their text, too, with the source's.

    `tracked` are the tickers that the manifest says it was cut by.
    """
    read: dict[Tier, bytes] = {}
    problems = [Problem("damaged", "manifest", why, record.session) for why in _contradictions(record)]
    for tier in record.part_sha256:
        path = folders.path(record.session, tier)
        name = str(path.relative_to(root) if path.is_relative_to(root) else path)
        try:
            read[tier] = path.read_bytes()
        except FileNotFoundError:
            problems.append(Problem("missing", name, "the file is gone", record.session))
        except OSError as error:
            problems.append(Problem("damaged", name, f"it cannot be read: {error.strerror}", record.session))
        else:
            problems += [Problem("damaged", name, why, record.session) for why in _wrong(record, tier, read[tier])]
    whole = not problems
    if whole and not _says_the_same(record, tracked, read["tracked"]):
        why = "it is not what the tracked part says of itself"
        problems.append(Problem("damaged", "manifest", why, record.session))
    if whole and deep:
        problems += [Problem("damaged", str(record.session), why, record.session) for why in _lost(record, read)]
    return Look(tuple(problems), len(read), sum(map(len, read.values())))


def _contradictions(record: SessionRecord) -> Iterator[str]:
    """Row conservation: every row of the source is in one part or was not to be kept."""
    parts = record.tracked_rows + record.archive_rows + record.dropped_rows
    if parts != record.source_rows:
        yield f"{record.source_rows:,} rows came, and its parts have {parts:,}"
    if record.archive_kept != (record.archive_sha256 is not None) or (record.archive_kept and record.dropped_rows):
        yield "it says both that the rest was kept and that it was not"
    if len(record.tracked_row_numbers) != 4 * record.tracked_rows or not _ascend(record):
        yield "the numbers of its tracked rows are not those of so many rows, ascending"


def _says_the_same(record: SessionRecord, tracked: frozenset[str], part: bytes) -> bool:
    """Whether a tracked part that says something of itself says this; one of an older version says nothing.

    An ETag that was forgotten is no contradiction: its session is to be fetched again.
    """
    said = stamping.read(part)
    if said is None:
        return True
    unsaid = replace(record, tracked_set=0, last_modified="", etag=record.etag or said.record.etag)
    return said.tickers == tracked and replace(said.record, findings=()) == unsaid


def _ascend(record: SessionRecord) -> bool:
    numbers = _row_numbers(record)
    return not len(numbers) or bool((np.diff(numbers) > 0).all() and numbers[-1] < record.source_rows)


def _row_numbers(record: SessionRecord) -> npt.NDArray[np.int64]:
    whole = record.tracked_row_numbers[: len(record.tracked_row_numbers) // 4 * 4]
    return np.frombuffer(whole, "<u4").astype(np.int64)


def _wrong(record: SessionRecord, tier: Tier, data: bytes) -> Iterator[str]:
    if hashlib.sha256(data).hexdigest() != record.part_sha256[tier]:
        yield f"it is not the file that was written: its {len(data):,} bytes have another sha256"
        return
    try:
        index = MemberIndex.decode(record.part_index[tier])
        whole = index.offsets[0] == 0 and index.offsets[-1] == len(data)
        if not whole or len(index.firsts) != len(index.offsets) - 1 or any(a >= b for a, b in pairwise(index.offsets)):
            yield "its index in the manifest does not fit it"
    except (ValueError, TypeError, LookupError):
        yield "its index in the manifest cannot be read"


def _lost(record: SessionRecord, read: Mapping[Tier, bytes]) -> Iterator[str]:
    """What the texts say: members that are not where the index has them, rows that are not those that came."""
    texts: dict[Tier, bytes] = {}
    for tier, data in read.items():
        try:
            members = _members(data, MemberIndex.decode(record.part_index[tier]))
        except UnreadableFile as error:
            yield f"its {tier} part cannot be unpacked: {error}"
            continue
        texts[tier] = b"".join(members)
        if not _begin_as_indexed(members, MemberIndex.decode(record.part_index[tier]), record.columns):
            yield f"the members of its {tier} part do not begin with the tickers of the index"
    if len(texts) == len(read):
        yield from _rows_lost(record, texts)


def _members(data: bytes, index: MemberIndex) -> list[bytes]:
    return [blockgzip.unpack(data[begin:end]) for begin, end in pairwise(index.offsets)]


def _begin_as_indexed(members: list[bytes], index: MemberIndex, columns: tuple[str, ...]) -> bool:
    """Whether each member begins with its ticker: asked of ordered parts, the only ones that are looked up in."""
    if not index.ordered:
        return True
    starts = [members[0].partition(b"\n")[2], *members[1:]]
    lines = [start.partition(b"\n")[0] + b"\n" for start in starts]
    return _tickers(b"".join(lines), columns) == list(index.firsts)


def _tickers(rows: bytes, columns: tuple[str, ...]) -> list[str] | None:
    """The ticker of each row; None where the text, or what its columns are called, is not what was written."""
    import polars as pl  # for who looks deep alone

    from ingest.tiers.lines import parse

    try:
        return parse(rows, columns, {"ticker": pl.String()})["ticker"].fill_null("").to_list()
    except (pl.exceptions.PolarsError, TypeError):
        return None


def _rows_lost(record: SessionRecord, texts: Mapping[Tier, bytes]) -> Iterator[str]:
    counts = {"tracked": record.tracked_rows, "archive": record.archive_rows}
    for tier, text in texts.items():
        rows = len(_lines(text)) if record.cut == "lines" else _parsed_rows(text, record.columns)
        if rows != counts[tier]:
            yield f"its {tier} part has {rows:,} rows, and {counts[tier]:,} were written"
            return
    if record.archive_kept and record.cut == "lines":
        text = put_together(texts["tracked"], texts["archive"], _row_numbers(record))
        if hashlib.sha256(text).hexdigest() != record.text_sha256:
            yield "its parts put together are not the text that came"


def _lines(text: bytes) -> list[bytes]:
    """Lines below the header, each with its end; the last may have none."""
    lines = text[text.find(b"\n") + 1 or len(text) :].split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _parsed_rows(text: bytes, columns: tuple[str, ...]) -> int:
    return len(_tickers(text[text.find(b"\n") + 1 or len(text) :], columns) or ())


def put_together(tracked: bytes, archive: bytes, tracked_rows: npt.NDArray[np.int64]) -> bytes:
    """The source's text out of both parts (invariant 1): `tracked_rows` are the numbers of the tracked part's rows."""
    ours, others = _lines(tracked), _lines(archive)
    at, rest = dict(zip(tracked_rows.tolist(), ours, strict=True)), iter(others)
    body = [at[number] if number in at else next(rest) for number in range(len(ours) + len(others))]
    return tracked[: tracked.find(b"\n") + 1 or len(tracked)] + b"".join(body)
