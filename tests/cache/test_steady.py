"""A read beside a run, or after a killed one, returns the rows from before or after: never fewer, never torn."""

import os
import random
import shutil
import threading
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import polars as pl
import pytest
from pipeline_kit import Place, flat, key, market_day, market_objects
from runs_kit import DAYS

from ingest.cache.manifest.database import Database
from ingest.cache.manifest.sessions import KnownSessions
from ingest.cache.manifest.yahoo import Quotes
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import CacheError
from ingest.files import durable
from ingest.market.catalogue import STOCKS_DAY
from ingest.reading import history as stored
from ingest.reading import rows as reading
from ingest.reading.adjusting.actions import HistoryQuery

FEW, MANY = frozenset({"AAPL"}), frozenset({"AAPL", "TRUE", "ZVZZT", "BRK.B"})
TICKERS = sorted(MANY | {"MSFT"})
FIRST = DAYS[0]


@pytest.fixture
def server(loopback_keys):
    with loopback.serve(market_objects(DAYS[:4])) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url)
    place.run(DAYS[0], DAYS[3], tracked=FEW)
    return place


def republished(text):
    """Another version of a day: every close differs, and the lines are longer, so members begin elsewhere."""
    header, *lines = text.decode().splitlines()
    names = header.split(",")
    at = names.index("close")
    rows = [line.split(",") for line in lines]
    return "\n".join([header, *(",".join([*row[:at], f"{row[at]}123", *row[at + 1 :]]) for row in rows), ""]).encode()


def history(place, tickers=TICKERS):
    return stored.history(place.settings(), STOCKS_DAY, HistoryQuery(tickers, fetch=False))


def trades(place):
    """From the parts alone: the CSVs have no numbers of trades."""
    columns = ["ticker", "date", "close", "transactions"]
    return stored.history(place.settings(), STOCKS_DAY, HistoryQuery(TICKERS, columns=columns, fetch=False))


def day(place):
    return stored.day_rows(place.settings(), STOCKS_DAY, FIRST)


def scan(place):
    both = ("massive", "yahoo")
    return stored.scan(place.settings(), STOCKS_DAY, None, None, both).collect().sort("ticker", "date")


def some(place):
    wanted, both = pl.col("ticker").is_in(TICKERS), ("massive", "yahoo")
    return stored.scan(place.settings(), STOCKS_DAY, None, None, both).filter(wanted).collect().sort("ticker", "date")


READS = {"history": history, "history of the parts": trades, "day": day, "scan": scan, "a filtered scan": some}


def sessions_of(frame):
    return {session[0]: rows for session, rows in frame.partition_by("date", as_dict=True).items()}


def check_either(found, before, after):
    """Session by session, the rows are all those from before, or all those from after."""
    truths = [sessions_of(one) for one in (before, after)]
    assert sessions_of(found).keys() == truths[0].keys()
    for session, rows in sessions_of(found).items():
        assert any(rows.equals(truth[session]) for truth in truths), (session, rows)


@contextmanager
def doing_before(target, name, deed, nth=1):
    """Do something before the nth call of a function: between the manifest's answer and the read that follows."""
    original, left = getattr(target, name), [nth]

    def call(*arguments, **named):
        left[0] -= 1
        if not left[0]:
            deed()
        return original(*arguments, **named)

    with patch.object(target, name, call):
        yield left


@pytest.mark.parametrize("reads", READS)
def test_parts_that_are_replaced_after_their_index_was_read_are_read_again(reads, place, server):
    read, before = READS[reads], READS[reads](place)
    server.put(key(FIRST), pack(republished(market_day(FIRST))))

    def run():
        place.run(DAYS[0], DAYS[3], tracked=MANY, refresh=True)

    name = "all_bars" if reads in ("day", "scan") else "bars"
    with doing_before(reading, name, run) as left:
        found = read(place)
    assert left[0] <= 0
    after = read(place)
    assert not after.equals(before)
    check_either(found, before, after)


@pytest.mark.filterwarnings("ignore:1 session is missing")  # of tickers that Yahoo was not asked for
def test_a_session_that_is_committed_while_yahoos_rows_are_looked_up_is_not_lost(place):
    """At one moment: Yahoo's row of a session not stored, or Massive's of a stored one; never neither."""
    new = DAYS[4]
    with Database.open(place.root / "manifest.sqlite", STOCKS_DAY.name) as database, database.transaction() as db:
        row = (STOCKS_DAY.name, "AAPL", str(new), 1.0, 1.0, 1.0, 1.0, 1.0, "2025-03-10T00:00:00+00:00")
        db.execute("INSERT INTO yahoo_rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    with loopback.serve(market_objects(DAYS[:5])) as server:
        other = Place(place.root, server.endpoint_url)
        for reads, name in ((history, "rows"), (scan, "rows_of"), (some, "rows")):
            with doing_before(Quotes, name, lambda: other.run(new, new, tracked=FEW)):
                found = reads(place).filter((pl.col("ticker") == "AAPL") & (pl.col("date") == new))
            assert found["source"].to_list() in (["yahoo"], ["massive"]), (reads, found)
            place.execute(f"DELETE FROM sessions WHERE session = '{new}'")


def snapshots(place, folder, **run):
    """The cache as a kill leaves it: before each rename of a part, and before the transactions that follow."""
    taken = []

    def take():
        root = folder / f"{len(taken)}" / "cache"
        shutil.copytree(place.root, root, ignore=shutil.ignore_patterns("*.lock*"))
        taken.append(Place(root, place.endpoint_url))

    def before(original):
        def call(*arguments, **named):
            take()
            return original(*arguments, **named)

        return call

    with ExitStack() as patches:
        patches.enter_context(patch.object(durable, "publish", before(durable.publish)))
        patches.enter_context(patch.object(KnownSessions, "commit", before(KnownSessions.commit)))
        place.run(DAYS[0], DAYS[3], concurrency=1, **run)
    take()
    return taken


def test_after_a_kill_at_each_step_of_a_replacement_all_can_be_read_at_once(place, server, tmp_path):
    before = {name: read(place) for name, read in READS.items()}
    server.put(key(FIRST), pack(republished(market_day(FIRST))))
    killed = snapshots(place, tmp_path / "killed", tracked=MANY, refresh=True)
    assert sum(bool(one.query("SELECT 1 FROM intents")) for one in killed) > 8
    for other in killed:
        for name, read in READS.items():
            check_either(read(other), before[name], READS[name](place))


def test_a_part_that_is_neither_old_nor_new_is_refused(place, server, tmp_path):
    server.put(key(FIRST), pack(republished(market_day(FIRST))))
    killed = next(
        one
        for one in snapshots(place, tmp_path / "killed", tracked=MANY, refresh=True)
        if one.query("SELECT 1 FROM intents WHERE session = ?", str(FIRST))
    )
    for path in (killed.part(FIRST), *durable.staged(killed.part(FIRST))):
        path.write_bytes(pack(flat([("AAPL", "1")])))
    with pytest.raises(CacheError, match="is not the file that was written; the next run downloads it again"):
        day(killed)
    # So it remains when the next holder of the lock finds that it cannot be completed.
    killed.execute("DELETE FROM intents")
    killed.execute(f"UPDATE sessions SET etag = NULL WHERE session = '{FIRST}'")
    for read in (day, trades):
        with pytest.raises(CacheError, match="is not the file that was written; the next run downloads it again"):
            read(killed)
    # Its run may have committed other sessions before, which no CSV contains yet.
    killed.execute("UPDATE sessions SET projected = 1")
    killed.execute("UPDATE projections SET dirty = 0")
    assert history(killed, ["AAPL"]).height == 4  # of the CSV, which was not touched


def test_a_part_that_is_shorter_than_its_index_says_is_refused(place):
    part = place.part(FIRST, "archive")
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(CacheError, match=str(FIRST)):
        history(place, ["MSFT"])
    part.write_bytes(pack(flat([])))
    with pytest.raises(CacheError, match=str(FIRST)):
        day(place)


def test_a_csv_with_fewer_rows_than_the_manifest_says_is_not_read(place):
    """It has the size and time of the one that was written."""
    before = history(place, ["AAPL"])
    path = place.tracked / "AAPL_1d_data.csv"
    text, told = path.read_bytes(), path.stat()
    cut = text[: text.rstrip().rfind(b"\n") + 1]
    path.write_bytes(cut + b"\n" * (len(text) - len(cut)))
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert history(place, ["AAPL"]).equals(before)


def read_beside(place, rounds, seed):
    """Runs that refresh all sessions with growing lists, and readers in a loop beside them: everything they read."""
    rng, found, ended = random.Random(seed), [], threading.Event()

    def write():
        try:
            for count in range(1, rounds + 1):
                place.run(DAYS[0], DAYS[3], tracked=sorted(MANY | {"MSFT"})[:count], refresh=True)
        finally:
            ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    names = rng.sample(sorted(READS), len(READS))
    while not ended.is_set() or len(found) < len(names):
        name = names[len(found)] if len(found) < len(names) else rng.choice(names)
        found.append((name, READS[name](place)))
    writer.join()
    return found


def check_beside(place, rounds, seed):
    truth = {name: read(place) for name, read in READS.items()}
    found = read_beside(place, rounds, seed)
    assert len(place.query("SELECT DISTINCT run FROM runs WHERE exit_code = 0")) == rounds + 1
    assert len({name for name, _ in found}) == len(READS)
    for name, frame in found:
        assert frame.equals(truth[name]), name


def test_readers_beside_runs_that_move_rows_between_parts_miss_none(place):
    check_beside(place, 5, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_readers_beside_many_runs_miss_none(place, seed):
    for _ in range(6):
        check_beside(place, 5, seed)
        shutil.rmtree(place.root)
        place.run(DAYS[0], DAYS[3], tracked=FEW)
