"""The bytes of a refused file, which a worker puts where the parts are: they are too many for a message."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ingest.cache.layout import PartKey
from ingest.cache.parts.store import Opened, explaining
from ingest.files import durable
from ingest.pipeline.task import Job
from ingest.sources.base import Body

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Deposit:
    """The bytes of a refused file, put where the parts are because they are many; the key is never published."""

    key: PartKey
    etag: str
    last_modified: str
    etag_is_md5: bool


def fetched(there: Deposit, job: Job) -> Body:
    """The bytes of a refused file that a worker has put where the parts are; those of a large one in its spool file.

    Raises CacheError.
    """
    made = partial(Body, etag=there.etag, last_modified=there.last_modified, etag_is_md5=there.etag_is_md5)
    store = job.parts
    with explaining(store, there.key), store.open(there.key) as file:
        if job.spool is None:
            body = made(file.read())
        else:
            _copy(file, job.spool)
            body = made(b"", path=job.spool)
    store.discard(there.key)
    return body


def _copy(file: Opened, path: Path) -> None:
    durable.make_folder(path.parent)
    durable.put(path, b"")
    at = 0
    while piece := file.read(_PIECE):
        durable.write_at(path, at, piece)
        at += len(piece)
