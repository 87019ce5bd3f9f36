"""The bytes of refused files, kept beside the cache for somebody to look at and perhaps accept.

How they are kept is known here alone: who keeps, reads, lists or drops one calls this module.
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from ingest.cache.cache import Cache, Layout
from ingest.cache.manifest.records import QuarantinedFile
from ingest.files import durable, opening
from ingest.files.aside import named_aside
from ingest.files.hashing import md5_of, sha256_of
from ingest.market.datasets import is_part_name, part_name
from ingest.sources.base import Body, looks_like_md5

"""What follows the name of a file that a repair has put aside; then comes the time."""


def file_of(layout: Layout, session: date) -> Path:
    """Where the bytes of a session's refused file are kept, if it has one."""
    return layout.quarantine / part_name(session)


def keep_refused(cache: Cache, session: date, body: Body, reason: str, acceptable: bool) -> None:
    """Keep the bytes of a refused file, and record it. Raises CacheError.

    A kill before the record leaves bytes that the manifest does not know: the next run refuses and keeps the file
    again.
    """
    path, size = file_of(cache, session), body.size
    durable.make_folder(cache.quarantine)
    if body.path is None:
        durable.replace(path, body.data)
    elif body.borrowed:
        with durable.translated("copy", body.path):
            durable.copy(path, body.path)
        durable.sync_folder(path.parent)
    else:
        durable.take_over(path, body.path)
    with durable.translated("read", path):
        sha256 = sha256_of(path)
    kept = QuarantinedFile(session, body.etag, size, body.last_modified, reason, acceptable=acceptable, sha256=sha256)
    cache.manifest.replacements.quarantine(kept, cache.run)


def drop(layout: Layout, session: date) -> None:
    """Remove the bytes of a session's refused file, if there are any; the caller has made the record say so."""
    durable.remove(file_of(layout, session))


def body_of(layout: Layout, one: QuarantinedFile, large: int) -> Body:
    """The refused bytes, as the source sent them; those of a file of at least `large` bytes stay in it.

    Raises CacheError.
    """
    path, modified = file_of(layout, one.session), one.last_modified or ""
    with durable.translated("read", path):
        is_md5 = not looks_like_md5(one.etag) or md5_of(path) == one.etag
        if opening.size(path) >= large:
            return Body(b"", one.etag, modified, is_md5, path)
        return Body(opening.read(path), one.etag, modified, is_md5)


def put_aside(layout: Layout, session: date) -> str | None:
    """Rename the damaged bytes of a refused file, which is refused no more; returns their new name, if they are there.

    Raises CacheError.
    """
    path = file_of(layout, session)
    with durable.translated("look at", path):
        if not opening.is_file(path):
            return None
    aside = named_aside(path)
    durable.move(path, aside)
    durable.sync_folder(path.parent)
    return aside.name


def names_aside(layout: Layout) -> list[str]:
    """Names of the damaged files that repairs have put aside. Raises CacheError."""
    with durable.translated("look into", layout.quarantine):
        return opening.names(layout.quarantine, "*.csv.gz.damaged-*")


def kept_names(layout: Layout) -> list[str]:
    """Names of the files kept, known to the manifest or not. Raises CacheError."""
    with durable.translated("look into", layout.quarantine):
        return opening.names(layout.quarantine, "*.csv.gz")


def kept_leftovers(layout: Layout) -> list[str]:
    """Names of the temporary files that killed runs left. Raises CacheError."""
    return [path.name for path in durable.leftovers(layout.quarantine, is_part_name)]


def bytes_kept(layout: Layout, name: str) -> int:
    """Size of a kept file, by its name. Raises OSError."""
    return opening.size(layout.quarantine / name)


def remove_kept(layout: Layout, names: Iterable[str]) -> None:
    """Remove kept files, durably; the caller has made the records say so. Raises CacheError."""
    paths = [layout.quarantine / name for name in names]
    for path in paths:
        durable.remove(path)
    if paths:
        durable.sync_folder(layout.quarantine)


def sweep_refused(layout: Layout) -> None:
    """Remove these temporary files. Only the holder of the lock may call it. Raises CacheError."""
    durable.sweep(layout.quarantine, is_part_name)


def wrong_with(layout: Layout, one: QuarantinedFile) -> str | None:
    """How a kept file differs from the one that was refused, in words; None if it does not. Raises OSError."""
    path = file_of(layout, one.session)
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
