"""A cache before an interrupted run, and the result of an undisturbed run."""

import hashlib
import json
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import date

from pipeline_kit import Place, assert_same, flat, trading_days, window

from ingest.cache.csv_files import CsvFolder
from ingest.files import durable
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY

DAYS = trading_days(date(2025, 3, 3), 3)
LISTED = frozenset({"AAPL", "TRUE"})
GROWN = frozenset({"AAPL", "BRK.B", "GONE"})
WITH_GONE = flat([("AAPL", "1"), ("GONE", "9"), ("MSFT", "3")])
REPLACED = flat([("AAPL", "1.5"), ("BRK.B", "2"), ("MSFT", "3"), ("NEW", "4")])


class Story:
    """A cache before a run, the run, and what an undisturbed run makes of that cache."""

    def __init__(self, folder, server, days, tracked, dataset=STOCKS_DAY, lake=False):
        self.days, self.tracked = days, tracked
        self.before = Place(folder / "before", server.endpoint_url, dataset=dataset, lake=lake)
        self.after = Place(folder / "after", server.endpoint_url, dataset=dataset, lake=lake)
        self._folder = folder
        self._url = server.endpoint_url

    def undisturbed(self):
        if self.before.root.exists():
            shutil.copytree(self.before.root, self.after.root)
        self.finish(self.after)
        self._seen = {name: {data} for name, data in self.before.tiers().items()}
        for name, data in self.after.tiers().items():
            self._seen.setdefault(name, set()).add(data)
        return self

    def finish(self, place, **more):
        """An undisturbed run; files that lose rows are accepted."""
        return place.run(*window(self.days), tracked=self.tracked, concurrency=1, accept=True, **more)

    def empty(self, name="killed"):
        """A place without a cache."""
        place = Place(self._folder / name, self._url, dataset=self.after.dataset, lake=self.after.lake)
        shutil.rmtree(place.root, ignore_errors=True)
        return place

    def fresh_copy(self, name="killed"):
        place = self.empty(name)
        if self.before.root.exists():
            shutil.copytree(self.before.root, place.root)
        return place

    def check_interrupted(self, place):
        """What holds at any instant: no file is torn, and all that is recorded as done is on disk, or intended."""
        for name, data in place.tiers().items():
            assert name.endswith(".tmp") or data in self._seen[name], f"{name} is torn"
        manifest = place.root / "manifest.sqlite"
        if manifest.exists() and place.query("SELECT 1 FROM pragma_table_info('projections') WHERE name = 'period'"):
            _check_parts(place)
            _check_csvs(place)

    def check_finished(self, place):
        assert list(place.root.rglob("*.tmp")) == []
        assert_same(place, self.after)
        names = [sorted(path.name for path in one.root.iterdir()) for one in (place, self.after)]
        assert names[0] == names[1]
        assert verify(place.settings(), dataset=place.dataset).problems == ()


def _check_parts(place):
    """The parts of committed sessions exist; those of intended ones at least under their temporary names."""
    intents = {day: json.loads(record) for day, record in place.query("SELECT session, record FROM intents")}
    columns = "session, tracked_sha256, archive_sha256"
    for session, *hashes in place.query(f"SELECT {columns} FROM sessions WHERE held = 'committed'"):
        for tier, expected in zip(("tracked", "archive"), hashes, strict=True):
            path, wanted = place.part(session, tier), expected
            found = {sha256(path)}
            if session in intents:
                wanted = intents[session][f"{tier}_sha256"]
                found.update(map(sha256, durable.staged(path)))
            assert wanted in found, f"the {tier} part of {session} is not what the manifest calls it"


def _check_csvs(place):
    folder = CsvFolder(place.tracked, place.dataset)
    for ticker, period, expected in place.query("SELECT ticker, period, sha256 FROM projections WHERE NOT dirty"):
        if period or place.dataset.kind.csv_shape == "file":
            path = folder.file(ticker, period)
            assert sha256(path) == expected, f"the CSV {path.relative_to(folder.path)} is called clean"


def sha256(path):
    """The hash of a file; None without a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def make_outdated(place):
    """Rewrite a cache's CSVs as an earlier version did: whole numbers without a point."""
    rewrite_csvs(place, lambda text: re.sub(rb"(?<=\d)\.0(?=[,\n])", b"", text), "format = 0, dirty = active")


def give_a_column_more(place):
    """Rewrite a cache's CSVs as a version with one more column did; the next run updates each."""
    rewrite_csvs(place, lambda text: text.replace(b"\n", b",Turnover\n", 1).replace(b".0\n", b".0,7.0\n"), "dirty = 1")


def rewrite_csvs(place, change, states):
    """Change each CSV, and its row of the manifest accordingly; `states` are more columns of that."""
    folder = CsvFolder(place.tracked, place.dataset)
    with closing(sqlite3.connect(place.root / "manifest.sqlite")) as db, db:
        files = db.execute("SELECT ticker, period FROM projections WHERE sha256 IS NOT NULL").fetchall()
        for ticker, period in files:
            path = folder.file(ticker, period)
            path.write_bytes(change(path.read_bytes()))
            db.execute(
                f"UPDATE projections SET sha256 = ?, size = ?, mtime_ns = ?, {states} WHERE (ticker, period) = (?, ?)",
                (sha256(path), path.stat().st_size, path.stat().st_mtime_ns, ticker, period),
            )
