"""The invariants of docs/design.md, by their numbers, on whole runs.

Each of these tests was seen to fail with a defect planted on purpose.
"""

import hashlib
import json
import os
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest
from pipeline_kit import (
    HEADER,
    TRACKED,
    Place,
    flat,
    key,
    market_day,
    packed_day,
    pointed,
    trading_days,
    weekdays,
    window,
    write_keys,
)

from ingest import events
from ingest.cache.commit import for_writing
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.csvs import Csvs
from ingest.cache.manifest.replacements import Replacements
from ingest.cache.manifest.sessions import KnownSessions
from ingest.cache.parts import lines as tier_lines
from ingest.demo.files.market import HOSTILE_TICKERS, pack
from ingest.demo.servers import faults, loopback
from ingest.files import durable
from ingest.market.catalogue import STOCKS_DAY
from ingest.tracked.projection import project

DAYS = trading_days(date(2025, 3, 3), 5)
SPAN = window(DAYS)
SECRET = "not-to-be-seen-anywhere"


@pytest.fixture
def place(server, tmp_path, monkeypatch):
    write_keys(tmp_path / "credentials", "ACCESSKEYOFTHETEST", SECRET)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (tmp_path / "home").mkdir()
    return Place(tmp_path / "home" / "cache", server.endpoint_url)


def put(server, day, text):
    server.put(key(day), pack(text))


# 1. Nothing is lost in the split


def test_invariant_1_both_parts_together_are_the_text_of_the_source(place):
    place.run(*SPAN)
    for day in DAYS:
        text = market_day(day)
        assert place.reassembled(day) == text
        query = "SELECT text_sha256, tracked_sha256, archive_sha256, source_rows, tracked_rows, archive_rows "
        ((whole, tracked, archive, *counts),) = place.query(f"{query} FROM sessions WHERE session = ?", str(day))
        assert whole == hashlib.sha256(text).hexdigest()
        assert tracked == hashlib.sha256(place.part(day).read_bytes()).hexdigest()
        assert archive == hashlib.sha256(place.part(day, "archive").read_bytes()).hexdigest()
        lines = [place.part_text(day, tier).count(b"\n") - 1 for tier in ("tracked", "archive")]
        assert counts == [sum(lines), *lines] == [text.count(b"\n") - 1, *lines]


def test_invariant_1_without_the_rest_the_counts_add_up_and_it_is_said(place):
    ran = place.run(*SPAN, save_others=False)
    query = "SELECT session, source_rows, tracked_rows, archive_rows, dropped_rows, archive_kept FROM sessions"
    for session, source, tracked, archive, dropped, kept in place.query(query):
        text = market_day(date.fromisoformat(session))
        assert place.part_text(session) == b"".join(
            line for n, line in enumerate(text.splitlines(keepends=True)) if not n or named(line) in TRACKED
        )
        assert (source, archive, kept) == (text.count(b"\n") - 1, 0, 0)
        assert source == tracked + dropped
        assert dropped > 0
    assert ran.finished.dropped_rows == ran.finished.source_rows - ran.finished.tracked_rows


def named(line):
    return line.split(b",")[0].decode()


# 2. The date of a session comes from its key


def test_invariant_2_the_date_of_a_session_comes_from_its_key(place, server):
    stamp = 1_000_000_000 * 1_700_000_000  # November 2023
    put(server, DAYS[1], f"{HEADER}\nAAPL,1,2,3,4,1,{stamp},1\n".encode())
    server.put(f"{STOCKS_DAY.prefix}/2025/04/{DAYS[4]}.csv.gz", b"a key that contradicts itself")
    server.put(f"{STOCKS_DAY.prefix}/2025/03/copy of {DAYS[2]}.csv.gz", b"no key of the dataset")
    ran = place.run(*SPAN)
    assert ran.committed == DAYS
    assert place.csv("AAPL")[str(DAYS[1])] == "2.0,4.0,1.0,3.0,1.0"
    assert list(place.csv("AAPL")) == [str(day) for day in DAYS]


# 3. Done means committed


@pytest.fixture
def deeds(monkeypatch):
    """What is done to be durable, in order: (deed, name of the file, folder, or sessions)."""
    log = []
    open_files = {}
    stage, publish, sync, commit, fsync, intend = (
        durable.stage,
        durable.publish,
        durable.sync_folder,
        KnownSessions.commit,
        os.fsync,
        Replacements.intend,
    )

    def staging(path, data, **more):
        log.append(("staged", path.name, path.parent.name))
        return stage(path, data, **more)

    def syncing_file(descriptor):
        fsync(descriptor)
        found = os.fstat(descriptor)
        open_files[found.st_dev, found.st_ino] = found.st_size

    def publishing(path, left=None):
        staged = (left or durable.temporary(path)).stat()
        written = open_files.pop((staged.st_dev, staged.st_ino), None)
        log.append(
            ("published" if written == staged.st_size else "published without fsync", path.name, path.parent.name)
        )
        publish(path, left)

    def syncing(folder):
        sync(folder)
        log.append(("synced", folder.name, ""))

    def committing(facet, records, corrections, run):
        commit(facet, records, corrections, run)
        log.extend(("committed", str(record.session), "") for record in records)

    def intending(facet, replacements):
        intend(facet, replacements)
        log.extend(("intended", str(record.session), "") for record, _ in replacements)

    monkeypatch.setattr(os, "fsync", syncing_file)
    monkeypatch.setattr(durable, "stage", staging)
    monkeypatch.setattr(durable, "publish", publishing)
    monkeypatch.setattr(durable, "sync_folder", syncing)
    monkeypatch.setattr(KnownSessions, "commit", committing)
    monkeypatch.setattr(Replacements, "intend", intending)
    return log


FOLDERS = ("sessions", "massive_cache")


def in_order(log, *steps):
    """Each of the steps, and each after the one before it."""
    places = [log.index(step) if step in log else None for step in steps]
    return None not in places and places == sorted(places)


def test_invariant_3_parts_are_durable_before_the_transaction_that_makes_a_session_done(place, deeds):
    place.run(*SPAN)
    for day in DAYS:
        name = f"{day}.csv.gz"
        end = deeds.index(("committed", str(day), ""))
        for folder in FOLDERS:
            assert in_order(deeds, ("staged", name, folder), ("published", name, folder), ("committed", str(day), ""))
            since = deeds.index(("published", name, folder))
            assert ("synced", folder, "") in deeds[since:end]
    assert not any(deed == "published without fsync" for deed, _, _ in deeds)
    assert place.query("PRAGMA journal_mode") == [("wal",)]


def test_invariant_3_the_manifest_is_durable_when_a_transaction_returns(place):
    place.run(*SPAN)
    with Manifest.open(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        assert manifest.database._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_invariant_3_a_file_without_a_row_is_harmless(place):
    for tier in ("tracked", "archive"):
        place.part(DAYS[2], tier).parent.mkdir(parents=True, exist_ok=True)
        place.part(DAYS[2], tier).write_bytes(b"what a killed run left")
    assert place.run(*SPAN).finished.exit_code == 0
    assert place.reassembled(DAYS[2]) == market_day(DAYS[2])


# 4. Tracked CSVs are projections


def test_invariant_4_a_csv_can_be_made_again_with_no_network(place):
    place.run(*SPAN, tracked=TRACKED - {"BRK.B"})
    place.run(*SPAN)
    made = {path: path.read_bytes() for path in place.tracked.glob("*.csv")}
    assert len(made) == len(TRACKED)
    for path in made:
        path.unlink()
    with for_writing(place.settings(), STOCKS_DAY) as cache:
        project(cache)
    assert {path: path.read_bytes() for path in place.tracked.glob("*.csv")} == made


def test_invariant_4_a_commit_makes_csvs_dirty_until_they_are_replaced(place, deeds, monkeypatch):
    place.run(*window(DAYS[:2]))
    seen = {}
    projected = Csvs.projected

    def marking(csvs, projections, sessions):
        made = list(projections)
        seen["dirty"] = place.query("SELECT count(*) FROM projections WHERE dirty")[0][0]
        seen["status"] = place.status().dirty_files
        seen["written"] = {row.ticker: row.sha256 for row in made}
        seen["deeds"] = len(deeds)
        projected(csvs, made, sessions)

    monkeypatch.setattr(Csvs, "projected", marking)
    deeds.clear()
    place.run(*SPAN)
    assert (seen["dirty"], seen["status"]) == (len(TRACKED), len(TRACKED))
    assert place.query("SELECT count(*) FROM projections WHERE dirty") == [(0,)]
    for ticker, expected in place.query("SELECT ticker, sha256 FROM projections"):
        name = STOCKS_DAY.csv_name(ticker)
        assert hashlib.sha256((place.tracked / name).read_bytes()).hexdigest() == expected == seen["written"][ticker]
        done = deeds[: seen["deeds"]]
        assert in_order(done, ("staged", name, "data_cache"), ("published", name, "data_cache"), done[-1])
        assert done[-1] == ("synced", "data_cache", "")
    assert max(n for n, deed in enumerate(deeds) if deed[0] == "committed") < deeds.index(
        ("published", "AAPL_1d_data.csv", "data_cache")
    )


# 5. A changed ETag is a correction


def test_invariant_5_the_difference_is_an_intent_before_any_file_is_replaced(place, server, deeds, monkeypatch):
    place.run(*SPAN)
    old = {tier: place.part(DAYS[1], tier).read_bytes() for tier in ("tracked", "archive")}
    put(server, DAYS[1], market_day(DAYS[1]).replace(b"\nAAPL,", b"\nAAPL,9"))
    publish, intents = durable.publish, []

    def publishing(path, *left):
        if not intents:
            assert {tier: place.part(DAYS[1], tier).read_bytes() for tier in old} == old
        if path.parent != place.tracked:
            intents.append(place.query("SELECT session, correction FROM intents"))
        publish(path, *left)

    monkeypatch.setattr(durable, "publish", publishing)
    deeds.clear()
    ran = place.run(*SPAN)
    assert ran.finished.corrections == 1
    ((session, correction),) = intents[0]
    ((day, removed, added),) = place.corrections()
    assert (session, day) == (str(DAYS[1]), DAYS[1])
    said = json.loads(correction)
    assert (said["removed"], said["added"]) == (removed, added)
    (line,) = added
    assert line == removed[0].replace("AAPL,", "AAPL,9")
    assert place.query("SELECT * FROM intents") == []
    first = deeds.index(("published", f"{DAYS[1]}.csv.gz", "sessions"))
    assert deeds.index(("intended", str(DAYS[1]), "")) < first
    # What the intent names must not be lost with the power: the temporary files' names, too, are durable before it.
    before = deeds[: deeds.index(("intended", str(DAYS[1]), ""))]
    staged = before.index(("staged", f"{DAYS[1]}.csv.gz", "sessions"))
    assert ("synced", "sessions", "") in before[staged:]
    # Only what differs is written: the archived rows are what they were.
    assert ("staged", f"{DAYS[1]}.csv.gz", "massive_cache") not in deeds


@pytest.mark.parametrize("answer", ["forbidden", "vanished", "unreadable"])
def test_invariant_5_what_was_held_is_never_given_up(place, server, answer):
    place.run(*SPAN)
    before = place.tiers()
    match answer:
        case "forbidden":
            put(server, DAYS[1], flat([("AAPL", "1")]))
            server.forbidden.add(key(DAYS[1]))
        case "vanished":
            del server.objects[key(DAYS[1])]
        case "unreadable":
            server.put(key(DAYS[1]), packed_day(DAYS[1])[:-9])
    for _ in range(2):
        ran = place.run(*SPAN)
        assert ran.finished.fetched == 0
        assert place.tiers() == before
        assert place.state(DAYS[1])[0] == "committed"
    with Manifest.open(place.root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        assert manifest.sessions.all()[DAYS[1]].etag == hashlib.md5(packed_day(DAYS[1])).hexdigest()


# 6. Raw is stored


def test_invariant_6_prices_are_stored_exactly_as_published_and_whole_ones_with_a_point(place, server):
    numbers = [
        ("0.1000", "00.10", "1e-3", "123456789.123456789"),
        ("100.10", "100", "100.0", "99.99999999999999"),
        ("7.", ".5", "5e2", "0.30000000000000004"),
    ]
    lines = [f"AAPL,{n}.25,{o},{c},{h},{low},1,1" for n, (o, h, low, c) in enumerate(numbers)]
    for day, line in zip(DAYS, lines, strict=False):
        put(server, day, f"{HEADER}\n{line}\n".encode())
    place.run(*window(DAYS[:3]))
    written = [f"{','.join(map(pointed, row))},{n}.25" for n, row in enumerate(numbers)]
    assert list(place.csv("AAPL").values()) == written
    assert place.part_text(DAYS[2]) == f"{HEADER}\n{lines[2]}\n".encode()


# 7. Network and parsing follow the new work


def test_invariant_7_a_run_with_nothing_to_do_downloads_and_parses_nothing(place, server):
    place.run(*SPAN)
    asked = len(server.requests)
    imported = place.imported("run", "--start", SPAN[0], "--end", SPAN[1])
    assert "aiobotocore" in imported
    assert not {"polars", "pandas", "exchange_calendars", "yfinance", "obstore", "distributed"} & imported
    # A listing, and a byte of the oldest and of the newest held: whether the plan still has them.
    assert [request.key for request in server.requests[asked:]] == ["", key(DAYS[0]), key(DAYS[-1])]


def test_invariant_7_a_new_session_is_one_download_and_one_reading_whatever_is_held(place, monkeypatch):
    place.run(*window(DAYS[:4]))
    read, original = [], tier_lines.read_lines

    def reading(store, part, index, tickers):
        read.append(store.path(part))
        return original(store, part, index, tickers)

    monkeypatch.setattr(tier_lines, "read_lines", reading)
    ran = place.run(*SPAN)
    assert (ran.gets, len(ran.wire.sent), ran.probes) == ([DAYS[4]], 4, [DAYS[0], DAYS[3]])
    assert read == [place.part(DAYS[4])]
    assert list(place.csv("AAPL")) == [str(day) for day in DAYS]


# 8. Memory is bounded by the settings


def test_invariant_8_bytes_in_flight_stay_below_the_setting(tmp_path, monkeypatch):
    # About 50 kB each: three are 150 kB packed, which unpacked and doubled come near the smallest budget of 1 MiB.
    noise = {day: flat([(f"{n:05}", os.urandom(4).hex().translate(DIGITS)) for n in range(9000)]) for day in DAYS}
    objects = {key(day): pack(text) for day, text in noise.items()}
    write_keys(tmp_path / "credentials")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    in_flight, most = {}, []

    def watch(event):
        if isinstance(event, events.FetchStarted):
            in_flight[event.session] = event.bytes
        if isinstance(event, events.Committed):
            del in_flight[event.session]
        most.append(sum(in_flight.values()))

    budget = 1 << 20
    assert sum(map(len, objects.values())) * 6 > 2 * budget
    with loopback.serve(objects) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(*SPAN, sink=watch, in_flight=budget)
        assert not in_flight
        assert max(most) * 6 <= max(budget, max(map(len, objects.values())) * 6)
        assert all(place.reassembled(day) == noise[day] for day in DAYS)

        # With room for all of them they do go side by side: the bound above is not the only one possible.
        most.clear()
        Place(tmp_path / "roomy", server.endpoint_url).run(*SPAN, sink=watch)
        assert max(most) * 6 > 2 * budget


DIGITS = str.maketrans("abcdef", "123456")


# 9. Names from outside are hostile

ESCAPES = (
    "../../evil",
    "/etc/evil",
    "..",
    "a/b",
    "nul\\..\\x",
    "CON",
    "é",
    "%2E%2E",
    "\N{SKULL}",
    "~root",
    "-rf",
    "A" * 90,
)


def test_invariant_9_no_name_from_outside_leaves_the_cache(place, server):
    tickers = sorted({*ESCAPES, *HOSTILE_TICKERS})
    server.objects.clear()
    put(server, DAYS[0], flat([(ticker, str(n + 1)) for n, ticker in enumerate(tickers)]))
    for name in ("../../../evil", "..%2f..%2fevil", "%00", "x/../../evil"):
        server.put(f"{STOCKS_DAY.prefix}/2025/{name}/{DAYS[1]}.csv.gz", b"evil")
        server.put(f"{STOCKS_DAY.prefix}/2025/03/{name}.csv.gz", b"evil")
    outside = {path for path in place.root.parent.parent.rglob("*") if not path.is_relative_to(place.root)}
    ran = place.run(DAYS[0], DAYS[1], tracked=tickers)
    assert (ran.finished.exit_code, ran.gets) == (0, [DAYS[0]])
    assert {path for path in place.root.parent.parent.rglob("*") if not path.is_relative_to(place.root)} == outside
    files = {path.relative_to(place.tracked) for path in place.tracked.rglob("*.csv")}
    assert files == {Path(STOCKS_DAY.csv_name(ticker)) for ticker in tickers}
    assert all(path.parent == Path() for path in files)
    assert len({str(path).casefold() for path in files}) == len(tickers)
    for n, ticker in enumerate(tickers):
        assert place.closes(STOCKS_DAY.csv_name(ticker).removesuffix("_1d_data.csv")) == {str(DAYS[0]): f"{n + 1}.0"}


def test_invariant_9_secrets_are_neither_said_nor_stored(place, server):
    server.objects[key(DAYS[1])] = b"nonsense"
    server.forbidden.add(key(DAYS[2]))
    server.faults = faults.strike({key(DAYS[3])}, faults.INTERNAL_ERROR, times=1)
    for command in (("run",), ("run", "--json", "--refresh"), ("status", "--json")):
        flags = ("--start", SPAN[0], "--end", SPAN[1]) if command[0] == "run" else ()
        done = place.cli(*command, *flags)
        assert done.returncode in (0, 3)
        assert not any(word in done.stdout + done.stderr for word in (SECRET, "ACCESSKEYOFTHETEST", "Signature="))
    stored = [path.read_bytes() for path in place.root.rglob("*") if path.is_file()]
    assert len(stored) > 8
    assert not any(word in data for data in stored for word in (SECRET.encode(), b"ACCESSKEYOFTHETEST"))


# 10. Every session of a window has its reason


def test_invariant_10_every_session_of_a_window_has_its_reason(place, server):
    days = weekdays(date(2025, 4, 7), date(2025, 5, 2))
    listed = [day for day in days if day <= date(2025, 4, 25) and day != date(2025, 4, 18)]
    for day in listed:
        put(server, day, flat([("AAPL", "1")]))
    del server.objects[key(listed[1])]
    server.objects[key(listed[2])] = b"nonsense"
    server.forbidden |= {key(day) for day in listed[-3:]}
    server.faults = faults.strike({key(listed[4])}, faults.INTERNAL_ERROR, times=9)

    ran = place.run(days[0], days[-1], attempts=1)
    expected = {
        **dict.fromkeys(days, ("none", "unpublished")),
        **dict.fromkeys(listed, ("committed", "listed")),
        **dict.fromkeys(listed[-3:], ("none", "forbidden")),
        date(2025, 4, 18): ("none", "holiday"),
        listed[1]: ("none", "absent"),
        listed[2]: ("quarantined", "listed"),
        listed[4]: ("none", "failed"),
    }
    found = {day: place.state(day) for day in days}
    assert found == expected
    assert ran.finished.exit_code == 3
    counts = Counter(expected.values())
    summary = ran.finished
    assert summary.committed == counts["committed", "listed"]
    assert summary.quarantined == summary.failed == summary.absent == 1
    assert (summary.forbidden, summary.unpublished) == (3, counts["none", "unpublished"])
    assert sum(ran.reasons.values()) == len(days)
    reasons = dict(place.query("SELECT session, reason FROM sessions WHERE reason IS NOT NULL"))
    assert set(reasons) == {str(listed[2]), str(listed[4])}
    assert "not a whole gzip file" in reasons[str(listed[2])]
    assert "InternalError" in reasons[str(listed[4])]
    told = {event.session for event in ran.of(events.Failed)}
    assert told == {listed[4]}


def test_invariant_10_what_is_held_and_what_the_source_says_are_kept_apart(place, server):
    place.run(*SPAN)
    put(server, DAYS[0], flat([("AAPL", "1")]))
    put(server, DAYS[1], flat([("AAPL", "1")]))
    server.objects[key(DAYS[2])] = b"nonsense"
    server.forbidden.add(key(DAYS[0]))
    server.faults = faults.strike({key(DAYS[1])}, faults.INTERNAL_ERROR, times=9)
    del server.objects[key(DAYS[3])]
    ran = place.run(SPAN[0], SPAN[1] + timedelta(days=1), attempts=1)
    assert ran.finished.exit_code == 3
    assert [place.state(day) for day in DAYS] == [
        ("committed", "forbidden"),
        ("committed", "failed"),
        ("committed", "listed"),
        ("committed", "absent"),
        ("committed", "listed"),
    ]
