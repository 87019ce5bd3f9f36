"""What the manifest knows of the source: whose files the cache holds, and what the keys are allowed."""

from dataclasses import dataclass

from ingest.cache.manifest.database import Database, now
from ingest.cache.manifest.integrity.tables import columns
from ingest.market.permission import Permission

_PERMISSION = columns("permission_windows", "first", "last", "below", "above")


@dataclass(frozen=True, slots=True)
class KnownSource:
    """The source of all datasets by its name, and the permission that its keys have for one dataset."""

    database: Database

    def name(self) -> str | None:
        """Name of the source whose files the cache holds, of all datasets; None where it is not known yet."""
        found = self.database.ask("SELECT name FROM source", ())
        return next((self.database.fitted(columns("source", "name"), row)[0] for row in found), None)

    def holds_anything(self) -> bool:
        """Whether files of any dataset are held, or kept in quarantine."""
        held = "SELECT 1 FROM sessions WHERE held IS NOT 'none' UNION ALL SELECT 1 FROM quarantine LIMIT 1"
        return bool(self.database.ask(held, ()))

    def adopt(self, name: str) -> None:
        """Record whose files are held from now on. Where another source was known, its answers are forgotten."""
        with self.database.transaction() as db:
            if db.execute("SELECT 1 FROM source").fetchone():
                db.execute("DELETE FROM sessions WHERE held = 'none'")
                db.execute("DELETE FROM permission_windows")
            db.execute("INSERT OR REPLACE INTO source VALUES (1, ?, ?)", (name, now()))

    def permission(self) -> Permission:
        """What the keys' plan was found to allow; nothing is known in a new manifest."""
        query = "SELECT first, last, below, above FROM permission_windows WHERE dataset = ?"
        return next((Permission(*row) for row in self.database.typed(_PERMISSION, query)), Permission())

    def permission_asked_at(self) -> str | None:
        """When that was last learned, ISO 8601, UTC."""
        query = "SELECT asked_at FROM permission_windows WHERE dataset = ?"
        return next((at for (at,) in self.database.typed(columns("permission_windows", "asked_at"), query)), None)

    def permit(self, permission: Permission) -> None:
        """Record what the keys' plan allows, as learned now."""
        days = (permission.first, permission.last, permission.below, permission.above)
        with self.database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO permission_windows VALUES (?, ?, ?, ?, ?, ?)",
                (self.database.dataset, *(day and day.isoformat() for day in days), now()),
            )
