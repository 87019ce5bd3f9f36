"""What a file would change of the session that is held: found before anything is replaced."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from ingest import finding
from ingest.cache.manifest import HeldVersion, SessionRecord
from ingest.cache.parts import parts
from ingest.errors import CacheError, UnreadableFile
from ingest.files.hashing import has_hash
from ingest.finding import Finding
from ingest.market.datasets import Dataset, Tier
from ingest.pipeline.body import AT_ONCE, IN_CHUNKS, Costly, cost_of, pieces_in, pieces_of
from ingest.pipeline.task import Job
from ingest.sources.base import Body
from ingest.splitting import diff
from ingest.splitting.diff import Correction, Rows
from ingest.splitting.large_diff import TURN, Version, compare
from ingest.splitting.streamed import opened
from ingest.splitting.whole import read_header, split

_COMPARED = 3
"""Times what a text costs: each row of both versions is in a string of its own, and the new one is cut again."""

_NO_LIMIT = 1 << 62
"""Of what we wrote ourselves."""

_Pieces = Callable[[], Iterator[bytes]]


def corrected(
    job: Job, record: SessionRecord, body: Body, text: bytes | None, granted: int = AT_ONCE
) -> tuple[SessionRecord, Correction | None]:
    """The difference to what is held; None for a new session, and where what is held is not what it was.

    Compared is what is held alone: where the rest was dropped, the rows of the tickers tracked at that time. `text` is
    None for a body that is read in chunks; where more rows have changed than can be listed, the record returned says
    so. Raises LosesRows, and Costly.
    """
    held, replaced = job.decision.held, job.replaced
    if replaced is None:
        return record, None
    etags = (held.etag or "", record.etag)
    if replaced.text_sha256 == record.text_sha256:
        nothing = diff.rows_of(record.columns, ())
        return record, diff.difference(record.session, etags, nothing, nothing) if held.etag else None
    cost = cost_of_comparing(job, replaced, text)
    if (need := IN_CHUNKS if cost is None else cost) > granted:
        raise Costly(need)
    if text is None or cost is None:
        with TURN:
            return _corrected_in_chunks(job, replaced, record, body)
    before, after = versions(job, replaced, text)
    if before is None:
        _refuse_fewer(job, replaced, after.lines.total())
        return record, None
    if not job.accept:
        diff.check_loss(before, after)
    return record, diff.difference(record.session, etags, before, after)


def _corrected_in_chunks(
    job: Job, replaced: HeldVersion, record: SessionRecord, body: Body
) -> tuple[SessionRecord, Correction | None]:
    before, after = large_versions(job, replaced, body)
    come = after.tickers()
    if before is None:
        _refuse_fewer(job, replaced, come.total())
        return record, None
    if not job.accept:
        gone = before.tickers()
        diff.refuse_loss((gone - come).total(), gone.total())
    found = compare(before, after)
    etags, columns = (job.decision.held.etag or "", record.etag), (before.columns, after.columns)
    more = (Finding(finding.UNLISTED, found.left_out),) if found.left_out else ()
    told = replace(record, findings=(*record.findings, *more))
    removed, added = found.removed, found.added
    if before.columns == after.columns and not found.left_out:
        removed, added = diff.without_equals(after.columns, removed, added)
    return told, diff.correction(record.session, etags, columns, removed, added)


def _refuse_fewer(job: Job, replaced: HeldVersion, rows: int) -> None:
    """What is held is damaged, which its replacement mends: only the numbers of rows can be compared."""
    if not job.accept:
        diff.refuse_loss(replaced.rows - rows, replaced.rows)


def versions(job: Job, replaced: HeldVersion, text: bytes) -> tuple[Rows | None, Rows]:
    """The rows held of a session, and those of a text that is to replace them, of the same tickers.

    None in the place of the rows held where their parts are not what was written. Raises UnreadableFile.
    """
    held = job.decision.held
    again = split(text, held.tracked, held.archive_kept, job.dataset)
    after = diff.rows_of(again.header.columns, (part.text for part in (again.tracked, again.archive) if part))
    old = _held_texts(job, replaced)
    return (diff.rows_of(read_header(old[0], job.dataset).columns, old) if old else None), after


def _held_texts(job: Job, replaced: HeldVersion) -> list[bytes] | None:
    """Texts of the parts held; None where one of them is not the file that the manifest knows."""
    try:
        return [parts.read_known(job.path(tier), sha256) for tier, sha256 in replaced.part_sha256.items()]
    except CacheError:
        return None


def cost_of_comparing(job: Job, replaced: HeldVersion, text: bytes | None) -> int | None:
    """Bytes of memory that it takes to compare at once; None where that is too much, or the text is in chunks."""
    if text is None:
        return None
    cost = _COMPARED * max(cost_of([text]), cost_of(_held_pieces(job, replaced)))
    return cost if cost <= AT_ONCE else None


def _held_pieces(job: Job, replaced: HeldVersion) -> Iterator[bytes]:
    """Texts of the parts held, as far as they can be read: that they are damaged is found out by their hashes."""
    for tier in replaced.part_sha256:
        with suppress(UnreadableFile, CacheError):
            yield from _part(job, tier)()


def large_versions(job: Job, replaced: HeldVersion, body: Body) -> tuple[Version | None, Version]:
    """The same as `versions` of what is large. Raises UnreadableFile, CacheError."""
    held, dataset = job.decision.held, job.dataset
    tracked = None if held.archive_kept else held.tracked
    after = _version([lambda: pieces_of(body, job.max_unpacked)], dataset, tracked)
    if not all(has_hash(job.path(tier), sha256) for tier, sha256 in replaced.part_sha256.items()):
        return None, after
    return _version([_part(job, tier) for tier in replaced.part_sha256], dataset, None), after


def _part(job: Job, tier: Tier) -> _Pieces:
    return lambda: pieces_in(job.path(tier), _NO_LIMIT)


def _version(sources: list[_Pieces], dataset: Dataset, tracked: frozenset[str] | None) -> Version:
    """A version in several texts; where `tracked` is given, of its rows those of these tickers."""

    def texts() -> Iterator[bytes]:
        for source in sources:
            for text in opened(source(), dataset)[1]:
                yield text if tracked is None else split(text, tracked, False, dataset).tracked.text

    return Version(opened(sources[0](), dataset)[0].columns, texts)
