"""Snapshots of the manifest in the object store of its parts, and the pointer to the newest one.

A snapshot has a name of its own. The pointer, `manifest/latest.json`, is replaced only if it is the one that this
manifest wrote last: whoever finds another one has a rival, which is a copy of the same manifest, or has taken over.
After a kill there may be a snapshot without a pointer, which goes once there are newer ones, or a pointer that was
written and not noted: its token was noted before it was written, so it is recognised.
"""

import hashlib
import platform
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ingest.cache.manifest.database import Database, now
from ingest.cache.manifest.stores.identity import Identity, KnownStore
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.writing.packing import packed
from ingest.cache.objects.writing.records import Pointer, encoded, found
from ingest.errors import OtherWriter, Superseded
from ingest.hints import call

SeenPointer = tuple[Pointer, str] | None
"""The pointer of a bucket with its ETag; None if there is none."""

_FOLDER, _END = "manifest", ".sqlite.z"
_NAME = re.compile(rf"{_FOLDER}/(\d{{8}}T\d{{6}}\.\d{{6}}Z)-\d+{re.escape(_END)}")
_TIME = "%Y%m%dT%H%M%S.%fZ"
_KEPT = 14
_TRIES = 3

_CONTENT = (
    (
        "SELECT dataset, session, held, etag, tracked_sha256, archive_sha256 FROM sessions WHERE held IS NOT 'none' "
        "ORDER BY dataset, session"
    ),
    "SELECT dataset, session, etag, dismissed FROM quarantine ORDER BY dataset, session",
    "SELECT id FROM corrections ORDER BY id",
    "SELECT dataset, ticker, count(*), max(asked_at) FROM yahoo_rows GROUP BY dataset, ticker",
    "SELECT dataset, ticker, count(*), total(value) FROM actions GROUP BY dataset, ticker",
    "SELECT dataset, kind, count(*), total(count) FROM findings GROUP BY dataset, kind",
    "SELECT dataset, count(*), total(size) FROM objects GROUP BY dataset",
    "SELECT dataset, partition, etag FROM lake WHERE place <> '' ORDER BY dataset, partition",
)
"""What a snapshot is for. Each query has no row in a manifest that has nothing to restore."""


def content(database: Database) -> str:
    """A hash that changes with what is stored, for all datasets; "" if nothing is. Raises CacheError.

    It does not change with the log of runs, so runs with nothing to do store nothing.
    """
    seen, rows = hashlib.sha256(), 0
    for query in _CONTENT:
        for row in database.ask(query, ()):
            seen.update(repr(row).encode())
            rows += 1
    return seen.hexdigest() if rows else ""


def snapshot_names(bucket: Bucket) -> list[str]:
    """Names of all snapshots, the newest first; a file of the user's beside them is none. Raises CacheError."""
    names = (one.name for one in bucket.listing(_FOLDER))
    return sorted((name for name in names if _NAME.fullmatch(name)), reverse=True)


def _name_after(others: Sequence[str], run: int) -> str:
    """The name of a new snapshot, which sorts as the newest: the clock of whoever stored the others may be ahead."""
    time = datetime.now(UTC)
    for match in filter(None, map(_NAME.fullmatch, others)):
        with suppress(ValueError, OverflowError):  # digits that are no time, or the last one
            time = max(time, datetime.strptime(match[1], _TIME).replace(tzinfo=UTC) + timedelta(microseconds=1))
    return f"{_FOLDER}/{time.strftime(_TIME)}-{run}{_END}"


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The snapshots of a manifest that is open for writing, in the bucket that it writes to."""

    bucket: Bucket
    identity: Identity

    @property
    def _database(self) -> Database:
        return self.identity.database

    def compare(self) -> None:
        """Raise OtherWriter if the pointer is not the one that this manifest wrote last, or CacheError.

        A pointer that is gone was removed by somebody: the next snapshot makes a new one. Or a web server in front of
        a store that is away says so of everything, so what is known of the pointer is kept: it may be back later.
        """
        known = self.identity.store(self.bucket.url)
        seen = found(self.bucket, Pointer)
        if seen is None:
            if known and known.token:
                self.identity.note(replace(known, content=None))
        elif not self._is_ours(seen[0], known):
            raise self._refusal(seen[0])
        elif known is None or (known.token, known.etag) != (seen[0].token, seen[1]):
            self.identity.note(KnownStore(self.bucket.url, known.generation if known else 0, seen[0].token, seen[1]))

    def take_over(self, seen: SeenPointer, run: int) -> None:
        """Replace the former writer's pointer, as it was `seen`, by one of this manifest that names the same snapshot.

        From then on the former writer can store no snapshot. Raises OtherWriter if it has stored one meanwhile.
        """
        known = self.identity.store(self.bucket.url) or KnownStore(self.bucket.url, 0)
        if seen:
            self.identity.note(replace(known, token=seen[0].token, etag=seen[1]))
        self.point_at(*(seen[0].snapshot, seen[0].sha256) if seen else ("", ""), run, None)

    def is_due(self) -> bool:
        """Whether anything has changed since the newest snapshot. Raises CacheError."""
        known = self.identity.store(self.bucket.url)
        return content(self._database) != ((known and known.content) or "")

    def store(self, run: int) -> None:
        """Store the manifest as it is now, after this run. Raises OtherWriter if another machine has, CacheError."""
        held = content(self._database)
        others = snapshot_names(self.bucket)
        name = _name_after(others, run)
        with packed(self._database) as file:
            self.bucket.put_new(name, file.path, file.sha256)
        try:
            self.point_at(name, file.sha256, run, held)
        except OtherWriter:
            self.bucket.remove([name])
            raise
        if old := others[_KEPT - 1 :]:
            self.bucket.remove(old)

    def point_at(self, name: str, sha256: str, run: int, held: str | None) -> None:
        """Replace the pointer, by one that names this snapshot; `held` is the snapshot's content, if that is known."""
        known = self.identity.store(self.bucket.url) or KnownStore(self.bucket.url, 1)
        token, own = str(uuid.uuid4()), self.identity.own()
        pointer = Pointer(
            own, known.generation, platform.node(), now(), run=run, token=token, snapshot=name, sha256=sha256
        )
        self.identity.note(replace(known, writing=" ".join([*_tokens(known.writing), token])))
        etag = self._swapped(pointer, known)
        self.identity.note(KnownStore(known.url, known.generation, token, etag, content=held))

    def _swapped(self, pointer: Pointer, known: KnownStore) -> str:
        """The ETag of the pointer, once it has replaced the one that is known, or one of ours whose answer was lost."""
        etag = known.etag
        for _ in range(_TRIES):
            try:
                return self.bucket.put_over(Pointer.NAME, encoded(pointer), etag).etag
            except Superseded:
                seen = found(self.bucket, Pointer)
            if seen and seen[0].token == pointer.token:
                return seen[1]
            if seen and not self._is_ours(seen[0], known):
                break
            etag = seen and seen[1]
        raise self._refusal(seen and seen[0])

    def _is_ours(self, pointer: Pointer, known: KnownStore | None) -> bool:
        """Whether this manifest wrote a pointer; a repaired one may have lost what it knew of it."""
        if known is None:
            return pointer.manifest == self.identity.known()
        return pointer.token in {known.token, *_tokens(known.writing)}

    def _refusal(self, pointer: Pointer | None) -> OtherWriter:
        where = self.bucket.described("").rstrip("/")
        rival = f"{pointer.host} wrote to {where} at {pointer.at}" if pointer else f"another machine writes to {where}"
        how = "with a copy of this manifest" if pointer and pointer.manifest == self.identity.known() else "too"
        return OtherWriter(
            f"{rival}, {how}: two machines must not write to one prefix, so nothing more is committed here",
            call("restore", f"to go on here, and not there, once {self._database.path} is moved away"),
        )


def _tokens(noted: str | None) -> list[str]:
    return (noted or "").split()
