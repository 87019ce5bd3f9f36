"""Which patterns of the lists were resolved over all sessions, as the manifest keeps it."""

from collections.abc import Collection
from dataclasses import dataclass

from ingest.cache.manifest.database import Database
from ingest.cache.manifest.integrity.tables import columns

_PATTERN = columns("patterns", "pattern")


@dataclass(frozen=True, slots=True)
class Patterns:
    """The part of a manifest that tells of patterns: what is in it has its tickers in all sessions but pending ones."""

    database: Database

    def resolved(self) -> frozenset[str]:
        """Patterns whose tickers are known, those of sessions apart that no projection has seen."""
        return frozenset(
            one for (one,) in self.database.typed(_PATTERN, "SELECT pattern FROM patterns WHERE dataset = ?")
        )

    def remember(self, patterns: Collection[str]) -> None:
        """Make these, and no others, the ones that were resolved: one that leaves the lists is new if it returns."""
        dataset = self.database.dataset
        with self.database.transaction() as db:
            db.execute("DELETE FROM patterns WHERE dataset = ?", (dataset,))
            db.executemany("INSERT INTO patterns VALUES (?, ?)", [(dataset, one) for one in sorted(patterns)])
