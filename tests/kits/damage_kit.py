"""A cache of two datasets with rows in every table of the manifest, for tests that damage it."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date

from pipeline_kit import Place, flat, trading_days, window

from ingest.cache.manifest import Manifest
from ingest.cache.manifest.yahoo import ActionCoverage, Refusal
from ingest.demo.files.market import pack
from ingest.market.catalogue import named
from ingest.market.corporate_actions import Actions, StockSplit

DATASETS = tuple(map(named, ("stocks-day", "options-day")))
DAYS = trading_days(date(2025, 3, 3), 4)
SPAN = window(DAYS)
LISTED = frozenset({"AAPL", "TRUE", "T1*"})
_ROWS = [*((f"T{n:02}", f"{n + 1}") for n in range(38)), ("AAPL", "100.5"), ("TRUE", "7")]
WHOLE, CHANGED, FEWER = flat(_ROWS), flat([*_ROWS[:-1], ("TRUE", "8")]), flat(_ROWS[5:])

KEPT = (
    "corrections",
    "quarantine",
    "findings",
    "permission_windows",
    "yahoo_rows",
    "actions",
    "askings",
    "refusals",
    "patterns",
)
"""Tables whose content is stored nowhere else in a cache."""


def objects():
    """The initial objects of the source."""
    return {one.key(day): pack(WHOLE) for one in DATASETS for day in DAYS}


def fill(place, server):
    """Two runs for each dataset: one day is corrected, and another is republished with too few rows."""
    for dataset in DATASETS:
        here = replace(place, dataset=dataset)
        here.run(*SPAN, tracked=LISTED)
        server.put(dataset.key(DAYS[1]), pack(CHANGED))
        server.put(dataset.key(DAYS[2]), pack(FEWER))
        assert here.run(*SPAN, tracked=LISTED).finished.exit_code == 3
        with Manifest.open(here.root / "manifest.sqlite", dataset.name) as manifest:
            known = ActionCoverage(*SPAN)
            rows = [("GONE", day, 1.0, 2.0, 1.0, 2.0, 9.0) for day in DAYS]
            manifest.yahoo.keep("GONE", known, Actions((StockSplit(DAYS[1], 2.0),), ()), rows)
            manifest.yahoo.refuse("NONE", Refusal(*SPAN, "Yahoo has no NONE"))
            manifest.csvs.remember_patterns(["T1*"])


def copied(place, folder):
    shutil.copytree(place.root, folder)
    return replace(place, root=folder)


def told(place, tables=KEPT):
    """All rows of the tables, without run numbers, which change in a repair."""
    with closing(sqlite3.connect(place.root / "manifest.sqlite")) as db:
        db.row_factory = sqlite3.Row
        return {
            table: [
                {name: row[name] for name in row.keys() if name not in ("run", "committed_at")}  # noqa: SIM118
                for row in db.execute(f"SELECT * FROM {table}")
            ]
            for table in tables
        }


def execute(place, *statements):
    """Change values regardless of the schema's constraints."""
    with closing(sqlite3.connect(place.root / "manifest.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            db.execute(statement)


def cache(server, folder):
    """Such a cache."""
    place = Place(folder, server.endpoint_url)
    fill(place, server)
    return place
