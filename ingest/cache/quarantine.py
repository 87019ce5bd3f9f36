"""The bytes of refused files, kept beside the cache for somebody to look at and perhaps accept."""

from datetime import date
from pathlib import Path

from ingest.cache.cache import Cache
from ingest.cache.manifest.records import QuarantinedFile
from ingest.files import durable, opening
from ingest.files.hashing import md5_of, sha256_of
from ingest.sources.base import Body, looks_like_md5


def keep_refused(cache: Cache, session: date, body: Body, reason: str, acceptable: bool) -> None:
    """Keep the bytes of a refused file, and record it. Raises CacheError.

    A kill before the record leaves bytes that the manifest does not know: the next run refuses and keeps the file
    again.
    """
    path, size = cache.quarantined(session), body.size
    durable.make_folder(cache.quarantine)
    if body.path is None:
        durable.replace(path, body.data)
    else:
        durable.take_over(path, body.path)
    with durable.translated("read", path):
        sha256 = sha256_of(path)
    kept = QuarantinedFile(session, body.etag, size, body.last_modified, reason, acceptable=acceptable, sha256=sha256)
    cache.manifest.replacements.quarantine(kept, cache.run)


def wrong_with(path: Path, one: QuarantinedFile) -> str | None:
    """How a kept file differs from the one that was refused, in words; None if it does not. Raises OSError."""
    if not opening.is_there(path):
        return "it is gone"
    size = opening.size(path)
    if one.size not in (None, size):
        return f"it has {size:,} bytes in place of the {one.size:,} that were refused"
    if one.sha256 is None:
        same = not looks_like_md5(one.etag) or md5_of(path) == one.etag
    else:
        same = sha256_of(path) == one.sha256
    return None if same else "its bytes are not those that were refused"
