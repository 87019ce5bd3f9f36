"""Who this manifest is to the object stores that it writes to, and what it last wrote there.

An object store takes one manifest as its writer, by the id. The id is made when it is first needed: a copy made before
that is a manifest of its own.
"""

import uuid
from dataclasses import astuple, dataclass

from ingest.cache.manifest.database import Database, now
from ingest.cache.manifest.integrity.tables import columns

_STORE = columns("stores", "url", "generation", "token", "etag", "writing", "content")


@dataclass(frozen=True, slots=True)
class KnownStore:
    """An object store that this manifest writes to.

    `generation` is that of the store's `ingest.json` when the manifest became its writer, and 0 until that is known.
    `token` and `etag` are those of the pointer to the newest snapshot, as last written, and `content` says in short
    what was in that snapshot; None without one. `writing` has the tokens of pointers whose writing has begun, with
    spaces between them: until the store has answered, either may be there.
    """

    url: str
    generation: int
    token: str | None = None
    etag: str | None = None
    writing: str | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """The manifest's id, for all datasets, and the object stores that know it."""

    database: Database

    def known(self) -> str | None:
        """The id; None if it was never needed."""
        rows = self.database.ask("SELECT manifest FROM identity", ())
        return next((self.database.fitted(columns("identity", "manifest"), row)[0] for row in rows), None)

    def own(self) -> str:
        """The id, made now if it is needed for the first time."""
        return self.known() or self.renew()

    def renew(self) -> str:
        """Become another manifest, as a copy must: a new id, which no store knows yet."""
        made = str(uuid.uuid4())
        with self.database.join_transaction() as db:
            db.execute("INSERT OR REPLACE INTO identity VALUES (1, ?, ?)", (made, now()))
            db.execute("DELETE FROM stores")
        return made

    def store(self, url: str) -> KnownStore | None:
        """What was last written to an object store; None if this manifest has never been its writer."""
        names = ", ".join(name.removeprefix("stores.") for name in _STORE)
        rows = self.database.ask(f"SELECT {names} FROM stores WHERE url = ?", (url,))  # noqa: S608 - names from here
        return next((KnownStore(*self.database.fitted(_STORE, row)) for row in rows), None)

    def note(self, store: KnownStore) -> None:
        """Record what is, or is being, written to an object store; joins the caller's transaction, if there is one."""
        with self.database.join_transaction() as db:
            db.execute("INSERT OR REPLACE INTO stores VALUES (?, ?, ?, ?, ?, ?)", astuple(store))

    def forget(self, url: str) -> None:
        """Forget an object store to which nothing is written any more."""
        with self.database.join_transaction() as db:
            db.execute("DELETE FROM stores WHERE url = ?", (url,))
