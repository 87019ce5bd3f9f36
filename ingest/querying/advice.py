"""What to do about a query that the library refuses, where the mistake is one that is easily made."""

import re

from ingest.market.catalogue import CATALOGUE

_BARE_RIGHT = re.compile(r"(?<![\"'\w.])right\b(?![\"']|\s*\(|\s+(outer\s+)?join\b)", re.IGNORECASE)
"""The column of options, as it cannot be named in SQL."""

_HYPHENS = re.compile(rf"(?<![\"'\w/-])({'|'.join(CATALOGUE)})(?![\"'\w/-])", re.IGNORECASE)
"""A dataset in place of its view."""

_NO_TABLE = re.compile(r"Table with name \w+ does not exist")
_NO_COLUMN = re.compile(r'Referenced column "([A-Z][A-Z0-9.:]*)" not found')


def advice(error: Exception, query: str) -> str:
    """A paragraph to add to what the library says; empty for most errors."""
    said = _advice(type(error).__name__, str(error), query)
    return f"\n\n{said}" if said else ""


def _advice(kind: str, text: str, query: str) -> str:
    if kind == "ParserException" and _BARE_RIGHT.search(query):
        return 'The column right needs quotes: "right". The bare word is part of RIGHT JOIN.'
    if kind == "ParserException" and (found := _HYPHENS.search(query)):
        return f"The view of {found[1]} is named {found[1].replace('-', '_')}."
    if kind == "BinderException" and (found := _NO_COLUMN.search(text)):
        return f"Text needs single quotes: '{found[1]}'."
    return "`show tables` lists what can be asked." if kind == "CatalogException" and _NO_TABLE.search(text) else ""
