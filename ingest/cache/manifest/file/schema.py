"""Brings an older manifest up to date.

Migrations and the version that they reach are committed together, so a killed migration never happened.
"""

import sqlite3
from pathlib import Path

from ingest.cache.manifest.file.migrations import MIGRATIONS
from ingest.errors import CacheError, ManifestDamaged


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a manifest to the current version; raises CacheError for a newer one, which stays untouched."""
    if steps := MIGRATIONS[version_of(connection, path) :]:
        connection.executescript(f"BEGIN IMMEDIATE;{''.join(steps)}PRAGMA user_version = {len(MIGRATIONS)};COMMIT;")


def is_current(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a manifest has the current version; raises CacheError for a newer one."""
    return version_of(connection, path) == len(MIGRATIONS)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Version of a manifest; raises CacheError for a newer one, ManifestDamaged for an impossible one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version < 0:
        raise ManifestDamaged(path, f"format {version}")
    if version > len(MIGRATIONS):
        raise CacheError(
            f"the manifest {path} was written by a newer version of ingest (format {version}, this one knows "
            f"{len(MIGRATIONS)}): update ingest, or point [cache] root to another folder"
        )
    return version
