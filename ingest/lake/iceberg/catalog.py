"""The database of the catalog beside the lake, as far as it is read and mended without pyiceberg."""

import sqlite3
from contextlib import closing

from ingest.errors import CacheError
from ingest.files import opening
from ingest.lake.iceberg.naming import NAMESPACE, TableFolder

_NONE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
"""Errors of a catalog that is not there, that has no tables yet, or that is none."""


def reading(folder: TableFolder) -> closing[sqlite3.Connection]:
    """The catalog beside the lake, for reading: nothing is made where there is none. Raises sqlite3.Error.

    A kill in the middle of a change leaves a journal, by which whoever opens the file next undoes the change. So it is
    opened for writing where that is allowed: opened for reading alone, it could not be read at all.
    """
    return closing(sqlite3.connect(f"{folder.catalog.absolute().as_uri()}?mode=rw", uri=True))


def registered(folder: TableFolder, catalog: str) -> str | None:
    """The URL of a table's metadata, as the catalog beside the lake has it; None if it has none, or cannot be read.

    Raises CacheError while another program keeps it locked, or if something else keeps it from being read.
    """
    return _known_as(folder).get(catalog)


def _known_as(folder: TableFolder) -> dict[str, str]:
    """The URLs of a table's metadata, by the names of catalogs that have one: each name has a row of its own."""
    query = "SELECT catalog_name, metadata_location FROM iceberg_tables WHERE table_namespace = ? AND table_name = ?"
    try:
        with reading(folder) as db:
            return {str(name): str(url) for name, url in db.execute(query, (NAMESPACE, folder.view))}
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise CacheError(f"another program keeps the catalog {folder.catalog} locked") from error
        if code not in _NONE:
            raise CacheError(f"the catalog {folder.catalog} cannot be read: {error}") from error
        return {}


def forget_other_names(folder: TableFolder, catalog: str) -> None:
    """Forget a table that another name of the catalog has: it would have an earlier state of it, or have the later one.

    It is found again by its newest metadata. Raises CacheError.
    """
    if _known_as(folder).keys() - {catalog}:
        unregister(folder)


def unregister(folder: TableFolder) -> None:
    """Remove a table from the catalog beside the lake, under all names."""
    if not opening.is_there(folder.catalog):
        return
    try:
        with closing(sqlite3.connect(folder.catalog)) as db, db:
            query = "DELETE FROM iceberg_tables WHERE table_namespace = ? AND table_name = ?"
            db.execute(query, (NAMESPACE, folder.view))
    except sqlite3.DatabaseError:
        return  # it is none, and the table is not in it
