"""What a file would change of the stored session: known before anything is replaced."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

from ingest import finding
from ingest.cache.manifest import HeldVersion, SessionRecord
from ingest.cache.parts import parts
from ingest.cache.parts.store import matches
from ingest.errors import CacheError, StoreError, UnreadableFile
from ingest.finding import Finding
from ingest.market.datasets import Dataset, Tier
from ingest.pipeline.session.body import Costly, SessionText, cost_of
from ingest.pipeline.task import Job
from ingest.splitting import whole
from ingest.splitting.compare import TURN, Room, Version, compare
from ingest.splitting.diff import Correction, Difference, check_loss, refuse_loss
from ingest.splitting.parsing import read_header
from ingest.splitting.streamed import Pieces, opened


def corrected(
    job: Job, record: SessionRecord, text: SessionText, granted: int | None = None
) -> tuple[SessionRecord, Correction | None]:
    """The record, and the difference to what is stored: None for a new session, or if the stored parts are damaged.

    Only stored rows are compared: if the others were dropped, those of the tickers tracked at that time. If more rows
    changed than can be listed, the record returned says so. Raises LosesRows and Costly.
    """
    held, replaced = job.decision.held, job.replaced
    if replaced is None:
        return record, None
    if replaced.text_sha256 != record.text_sha256:
        found = _difference(job, replaced, text, granted)
    else:
        found = Difference(record.columns, record.columns) if held.etag else None
    if found is None:
        return record, None
    if found.left_out:
        record = replace(record, findings=(*record.findings, Finding(finding.UNLISTED, found.left_out)))
    return record, Correction.of(record.session, (held.etag or "", record.etag), found)


def _difference(job: Job, replaced: HeldVersion, text: SessionText, granted: int | None) -> Difference | None:
    """None if the stored parts are not what was written. Raises LosesRows and Costly."""
    cost = _cost_at_once(job, replaced, text)
    need = job.tuning.in_chunks if cost is None else cost
    if need > (job.tuning.most_granted if granted is None else granted):
        raise Costly(need)
    room = Room(job.tuning.listed_lines, job.tuning.listed_characters) if cost is None else None
    with TURN if room else nullcontext():
        before, after = _versions(job, replaced, text, at_once=room is None)
        if not job.accept:
            _refuse_loss(replaced, before, after)
        return compare(before, after, room) if before else None


def _refuse_loss(replaced: HeldVersion, before: Version | None, after: Version) -> None:
    """Raise LosesRows if the new version is missing more than a tenth of the stored rows.

    If what is stored is damaged, the replacement repairs it: then only the numbers of rows can be compared.
    """
    come = after.tickers()
    if before is None:
        refuse_loss(replaced.rows - come.total(), replaced.rows)
    else:
        check_loss(before.tickers(), come)


def versions(job: Job, replaced: HeldVersion, text: SessionText) -> tuple[Version | None, Version]:
    """The stored rows of a session, and those of the same tickers in a text that is to replace them.

    None instead of the stored rows if their parts are not what was written. Raises UnreadableFile, CacheError.
    """
    return _versions(job, replaced, text, at_once=_cost_at_once(job, replaced, text) is not None)


def _versions(job: Job, replaced: HeldVersion, text: SessionText, at_once: bool) -> tuple[Version | None, Version]:
    if not at_once or text.whole is None:
        return _held_in_chunks(job, replaced), _new_in_chunks(job, text.pieces)
    held = job.decision.held
    new = whole.parts(text.whole, held.tracked, held.archive_kept, job.dataset)
    old = _held_texts(job, replaced)
    return _version(old, job.dataset) if old else None, _version([part.text for part in new.values()], job.dataset)


def _version(texts: list[bytes], dataset: Dataset) -> Version:
    return Version(read_header(texts[0], dataset).columns, dataset.numeric, texts.__iter__)


def _held_texts(job: Job, replaced: HeldVersion) -> list[bytes] | None:
    """Texts of the stored parts; None if one of them is not the file that the manifest knows."""
    try:
        return [parts.read_known(job.parts, job.part(tier), sha256) for tier, sha256 in replaced.part_sha256.items()]
    except StoreError:
        raise
    except CacheError:
        return None


def _cost_at_once(job: Job, replaced: HeldVersion, text: SessionText) -> int | None:
    """Bytes of memory needed to compare at once; None if that is too much, or the text is in chunks."""
    if text.whole is None:
        return None
    most = job.tuning.at_once
    cost = job.tuning.compared * max(cost_of([text.whole], most), cost_of(_held_pieces(job, replaced), most))
    return cost if cost <= most else None


def _held_pieces(job: Job, replaced: HeldVersion) -> Iterator[bytes]:
    """Texts of the stored parts, as far as they can be read: their hashes will reveal any damage."""
    for tier in replaced.part_sha256:
        try:
            yield from _part(job, tier)()
        except StoreError:
            raise
        except (UnreadableFile, CacheError):
            continue


def _new_in_chunks(job: Job, pieces: Pieces) -> Version:
    held = job.decision.held
    return _in_chunks([pieces], job, None if held.archive_kept else held.tracked)


def _held_in_chunks(job: Job, replaced: HeldVersion) -> Version | None:
    """None if one of the stored parts is not the file that the manifest knows."""
    if all(matches(job.parts, job.part(tier), sha256) for tier, sha256 in replaced.part_sha256.items()):
        return _in_chunks([_part(job, tier) for tier in replaced.part_sha256], job, None)
    return None


def _part(job: Job, tier: Tier) -> Pieces:
    return lambda: parts.read_pieces(job.parts, job.part(tier), job.tuning.piece)


def _in_chunks(sources: list[Pieces], job: Job, tracked: frozenset[str] | None) -> Version:
    """A version made of several texts; with `tracked`, only the rows of these tickers."""

    def texts() -> Iterator[bytes]:
        for source in sources:
            for text in opened(source(), job.dataset, job.tuning.chunk)[1]:
                yield text if tracked is None else whole.parts(text, tracked, False, job.dataset)["tracked"].text

    columns = opened(sources[0](), job.dataset, job.tuning.chunk)[0].columns
    return Version(columns, job.dataset.numeric, texts)
