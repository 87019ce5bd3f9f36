"""Monthly CSVs of minutes: whole runs, changed lists, corrections, and the files on disk at the end."""

import hashlib
import shutil
from datetime import date, datetime, timedelta
from math import inf

import pandas as pd
import polars as pl
import pytest
from monthly_kit import (
    CRYPTO_MINUTE,
    DAYS,
    LISTED,
    NOVEMBER,
    OCTOBER,
    bars,
    coin_minutes,
    expected,
    objects,
    opening,
    stock_minutes,
    text_of,
)
from pipeline_kit import Place, flat, window, write_keys

from ingest.cache.commit import for_writing
from ingest.cache.manifest import Manifest
from ingest.cache.parts.groups import in_groups
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import CacheError
from ingest.maintenance.repair import repair
from ingest.maintenance.status import status
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE
from ingest.market.tickers import file_stem
from ingest.market.windows import Window
from ingest.planning.request import Request
from ingest.tracked import csv_lines, months
from ingest.tracked.update import bring_up_to_date

STOCKS = [(day, stock_minutes(day)) for day in DAYS]
COIN_DAYS = [date(2025, 10, 31), date(2025, 11, 1), date(2025, 11, 2), date(2025, 11, 3)]
COINS = [(day, coin_minutes(day)) for day in COIN_DAYS]


@pytest.fixture(scope="module")
def library():
    """The source of all tests that do not change it."""
    with loopback.serve(objects(STOCKS) | objects(COINS, CRYPTO_MINUTE)) as running:
        yield running


@pytest.fixture
def server(loopback_keys):
    """A source for one test alone."""
    with loopback.serve(objects(STOCKS)) as running:
        yield running


@pytest.fixture
def place(library, loopback_keys, tmp_path):
    return Place(tmp_path / "cache", library.endpoint_url, dataset=STOCKS_MINUTE)


@pytest.fixture
def coins(library, loopback_keys, tmp_path):
    return Place(tmp_path / "cache", library.endpoint_url, dataset=CRYPTO_MINUTE)


@pytest.fixture(scope="module")
def template(library, tmp_path_factory):
    """A cache with all days of stocks, made once."""
    folder = tmp_path_factory.mktemp("template")
    write_keys(folder / "credentials")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        Place(folder / "cache", library.endpoint_url, dataset=STOCKS_MINUTE).run(*window(DAYS), LISTED)
    return folder / "cache"


@pytest.fixture
def filled(place, template):
    shutil.copytree(template, place.root)
    return place


def inodes(place):
    """The inode of each file: a replaced file has another one."""
    return {
        path.relative_to(place.tracked).as_posix(): path.stat().st_ino for path in place.tracked.glob("*_1m_data/*")
    }


def check(place, texts, tickers):
    """The CSVs match the texts, and `verify` agrees, to the last byte."""
    for ticker in tickers:
        assert place.months(place.dataset.stem(ticker)) == expected(texts, ticker), ticker
    assert verify(place.settings(), True, place.dataset).problems == ()


def test_each_ticker_has_a_folder_with_a_csv_a_month(filled):
    check(filled, STOCKS, LISTED)
    names = ["AAPL_1m_data", "BAC_pL_1m_data", "ONE_1m_data", "TRUE_1m_data", "sessions"]
    assert sorted(path.name for path in filled.tracked.iterdir()) == names
    october, november = filled.months("AAPL")["2025-10"], filled.months("AAPL")["2025-11"]
    assert october[0].startswith("2025-10-30 09:30:00-04:00,")
    assert november[0].startswith("2025-11-03 09:30:00-05:00,")
    assert (len(october), len(filled.months("ONE")["2025-10"])) == (40, 2)


def test_coins_stand_in_the_month_of_their_session_by_new_yorks_clock(coins):
    coins.run(*window(COIN_DAYS), frozenset({"X:BTC-USD"}))
    check(coins, COINS, ["X:BTC-USD"])
    stamps = [line.split(",")[0] for line in coins.months("BTC-USD")["2025-11"]]
    assert stamps[0] == "2025-10-31 20:00:00-04:00"
    again = stamps.index("2025-11-02 01:30:00-04:00")
    assert stamps[again + 1 : again + 3] == ["2025-11-02 01:00:00-05:00", "2025-11-02 01:30:00-05:00"]


def test_pandas_and_polars_read_them_back(coins):
    coins.run(*window(COIN_DAYS), frozenset({"X:BTC-USD"}))
    path = coins.tracked / "BTC-USD_1m_data" / "2025-11.csv"
    half_hours = [datetime.fromisoformat("2025-11-01T00:00+00:00") + timedelta(minutes=30 * n) for n in range(3 * 48)]
    frame = pd.read_csv(path, index_col="Datetime")
    assert list(pd.to_datetime(frame.index, utc=True)) == half_hours
    assert set(map(str, frame.dtypes)) == {"float64"}
    rows = pl.read_csv(path).with_columns(pl.col("Datetime").str.to_datetime(time_zone="UTC"))
    assert rows["Datetime"].to_list() == half_hours
    assert rows["Close"].to_list() == list(frame["Close"])


def test_a_run_with_nothing_to_do_does_nothing(filled):
    before = inodes(filled)
    again = filled.run(*window(DAYS), LISTED)
    assert (again.gets, again.finished.exit_code) == ([], 0)
    assert inodes(filled) == before


def test_a_session_touches_the_csv_of_its_month_alone(place):
    place.run(*window(DAYS[:3]), LISTED)
    before = inodes(place)
    place.run(*window(DAYS), LISTED)
    after = inodes(place)
    assert {name for name in after if after[name] != before[name]} == {
        f"{file_stem(ticker)}_1m_data/2025-11.csv" for ticker in LISTED
    }
    check(place, STOCKS, LISTED)


def test_sessions_come_in_any_order_and_make_the_same_files(filled, tmp_path):
    other = Place(tmp_path / "other", filled.endpoint_url, dataset=STOCKS_MINUTE)
    for day in (DAYS[3], DAYS[0], DAYS[2], DAYS[1]):
        other.run(day, day, LISTED)
    files = [{name: data for name, data in one.tiers().items() if name.endswith(".csv")} for one in (filled, other)]
    assert files[0] == files[1]


def test_the_groups_in_which_tickers_are_taken_make_no_difference(filled, monkeypatch):
    before = filled.tiers()
    shutil.rmtree(filled.tracked / "AAPL_1m_data")
    for name in ("BAC_pL", "ONE", "TRUE"):
        (filled.tracked / f"{name}_1m_data" / "2025-10.csv").unlink()
    monkeypatch.setattr(months, "_MAX_ROWS", 1)
    filled.run(*window(DAYS), LISTED)
    assert filled.tiers() == before


def test_a_run_that_ends_between_two_months_need_not_make_the_first_again(place, monkeypatch):
    written = months._written

    def full(folder, row, *more):
        if row.period == "2025-11":
            raise CacheError("the disk is full")
        return written(folder, row, *more)

    with monkeypatch.context() as patch:
        patch.setattr(months, "_written", full)
        place.run(*window(DAYS), LISTED, fails=CacheError)
    before = inodes(place)
    assert len(before) == len(LISTED)
    again = place.run(*window(DAYS), LISTED)
    assert again.gets == []
    after = inodes(place)
    assert {name: after[name] for name in before} == before
    check(place, STOCKS, LISTED)


def test_a_month_whose_part_is_lost_does_not_stop_the_others(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, dataset=STOCKS_MINUTE)
    place.run(*window(DAYS[:3]), LISTED)
    server.forbidden |= {STOCKS_MINUTE.key(DAYS[0])}
    place.part(DAYS[0]).unlink()
    (place.tracked / f"AAPL{STOCKS_MINUTE.csv_suffix}" / "2025-10.csv").unlink()
    ran = place.run(*window(DAYS), LISTED, fails=CacheError)
    assert str(place.part(DAYS[0])) in str(ran.error)
    assert set(place.months("AAPL")) == {"2025-11"}
    assert place.query("SELECT DISTINCT dirty FROM projections WHERE period = '2025-11'") == [(0,)]
    server.forbidden.clear()
    place.run(*window(DAYS), LISTED)
    check(place, STOCKS, LISTED)


@pytest.mark.parametrize("known", [True, False], ids=["known", "not known yet"])
def test_a_file_in_the_place_of_months_is_moved_aside_by_a_repair(place, known):
    """But not by a run: it may be the user's."""
    tracked = LISTED if known else LISTED - {"AAPL"}
    place.run(*window(DAYS), tracked)
    folder = place.tracked / f"AAPL{STOCKS_MINUTE.csv_suffix}"
    if known:
        shutil.rmtree(folder)
    folder.write_text("mine")
    place.run(*window(DAYS), LISTED, refresh=True, fails=CacheError)
    broken = verify(place.settings(), dataset=STOCKS_MINUTE).broken
    assert [one.what for one in broken if "a file where the folder" in one.reason] == [folder.name]
    said = []
    repair(place.settings(), Request(Window(*window(DAYS)), LISTED, dataset=STOCKS_MINUTE), False, said.append)
    assert any(str(folder) in one and "it is not a folder and was moved to" in one for one in said)
    (kept,) = place.tracked.glob(f"{folder.name}.damaged-*")
    assert kept.read_text() == "mine"
    check(place, STOCKS, LISTED)


def test_groups_follow_what_tickers_had_in_the_month_before():
    a_day = STOCKS_MINUTE.kind.rows_a_day
    rows = [months.Projection(ticker, period="2025-11") for ticker in "ABCDE"]

    def sizes(usual, sessions, new=inf):
        expected = months._Expected(usual, sessions * a_day, new)
        groups = in_groups(rows, expected.of, months._MAX_ROWS)
        return ["".join(row.ticker for row in group) for group in groups]

    assert sizes({}, 20) == ["ABC", "DE"]  # 28,800 minutes each, at most
    assert sizes(dict.fromkeys("ABCDE", 0), 20) == ["ABCDE"]
    assert sizes({"A": 99_000, "B": 150_000}, 10) == ["A", "B", "CDE"]
    assert sizes({}, 20, new=100) == ["ABCDE"]
    assert sizes({}, 20, new=10_000) == ["ABC", "DE"]


def test_quiet_tickers_are_made_together_however_many_rows_they_could_have(place, monkeypatch):
    read, extract = [], csv_lines.extract
    monkeypatch.setattr(csv_lines, "extract", lambda *given: read.append(given[2]) or extract(*given))
    monkeypatch.setattr(months, "_MAX_ROWS", STOCKS_MINUTE.kind.rows_a_day)
    place.run(*window(DAYS), LISTED)
    assert read == [LISTED, LISTED]  # each month's parts once
    check(place, STOCKS, LISTED)


def test_a_ticker_that_joins_leaves_and_comes_back_is_made_from_the_parts(place):
    without = LISTED - {"AAPL"}
    place.run(*window(OCTOBER), without)
    joined = place.run(*window(OCTOBER), LISTED)
    assert joined.gets == []
    check(place, STOCKS[:2], LISTED)

    place.run(*window(DAYS), without)
    assert place.months("AAPL") == expected(STOCKS[:2], "AAPL")
    check(place, STOCKS, without)

    back = place.run(*window(DAYS), LISTED | {"MSFT"})
    assert back.gets == []
    check(place, STOCKS, LISTED | {"MSFT"})


def test_a_ticker_tracked_before_anything_is_stored_is_known(place):
    settings = place.settings()
    place.root.mkdir()
    with for_writing(settings, STOCKS_MINUTE) as cache:
        bring_up_to_date(cache, settings, ["AAPL"], lambda words: None)
        state = cache.manifest.csvs.states()["AAPL"]
        assert (state.active, state.dirty, state.rows) == (True, False, 0)
        assert cache.manifest.csvs.months() == {}


def test_the_rows_of_a_ticker_are_the_sum_of_its_months(filled):
    with Manifest.read(filled.settings().manifest_path, STOCKS_MINUTE.name) as manifest:
        states = manifest.csvs.states()
    assert set(states) == LISTED
    for ticker, state in states.items():
        lines = [line for month in expected(STOCKS, ticker).values() for line in month]
        assert (state.rows, state.dirty, state.sha256) == (len(lines), False, None)
        assert (state.first, state.last) == (lines[0].split(",")[0], lines[-1].split(",")[0])


def test_a_correction_rebuilds_its_month(filled, server):
    filled.endpoint_url = server.endpoint_url
    before = inodes(filled)
    changed = stock_minutes(NOVEMBER[0], seed=5)
    server.put(STOCKS_MINUTE.key(NOVEMBER[0]), pack(changed))
    filled.run(*window(DAYS), LISTED)
    after = inodes(filled)
    assert {name for name in after if after[name] != before[name]} == {"AAPL_1m_data/2025-11.csv"}
    check(filled, [*STOCKS[:2], (NOVEMBER[0], changed), STOCKS[3]], LISTED)


def test_a_correction_that_takes_a_tickers_only_rows_takes_its_csv(place, server):
    place.endpoint_url = server.endpoint_url
    place.run(*window(DAYS[:3]), LISTED)
    without = text_of([line for line in STOCKS[2][1].decode().splitlines()[1:] if not line.startswith("ONE,")])
    server.put(STOCKS_MINUTE.key(NOVEMBER[0]), pack(without))
    place.run(*window(DAYS[:3]), LISTED, accept=True)
    assert list(place.months("ONE")) == ["2025-10"]
    check(place, [*STOCKS[:2], (NOVEMBER[0], without)], LISTED)


def test_a_ticker_without_rows_has_no_files_and_is_reported(place):
    ran = place.run(*window(OCTOBER), frozenset({"AAPL", "aapl"}))
    assert [message for message in ran.notices if "aapl" in message]
    assert [path.name for path in place.tracked.glob("*_1m_data")] == ["AAPL_1m_data"]
    check(place, STOCKS[:2], ["AAPL"])


def test_rows_with_an_invalid_timestamp_stay_in_the_parts_and_are_reported(filled):
    text = filled.part_text(DAYS[0]).decode()
    assert [line.split(",")[6] for line in text.splitlines() if line.startswith("AAPL,")][-3:] == ["", "soon", "9" * 30]
    found = filled.query("SELECT DISTINCT kind FROM findings")
    assert ("stamps that are no time",) in found


HOSTILE = ("../../up", "CON", "con", "A/B", "TpC", "TPC", ".hidden", "%41", "é", "~", "A:B")


def test_no_ticker_leaves_the_folder_or_takes_anothers(loopback_keys, tmp_path):
    lines = sorted(line for ticker in HOSTILE for line in bars(ticker, opening(DAYS[0]), 2))
    texts = [(DAYS[0], text_of(lines))]
    with loopback.serve(objects(texts)) as running:
        place = Place(tmp_path / "cache", running.endpoint_url, dataset=STOCKS_MINUTE)
        place.run(DAYS[0], DAYS[0], frozenset(HOSTILE))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "credentials"]
    folders = [path.name for path in place.tracked.iterdir() if path.name != "sessions"]
    assert len({name.casefold() for name in folders}) == len(folders) == len(HOSTILE)
    check(place, texts, HOSTILE)


def test_a_file_in_the_place_of_a_folder_is_an_error_of_the_cache(filled):
    shutil.rmtree(filled.tracked / "ONE_1m_data")
    (filled.tracked / "ONE_1m_data").write_text("mine")
    failed = filled.run(*window(DAYS), LISTED, fails=CacheError)
    assert "ONE_1m_data" in str(failed.error)
    assert (filled.tracked / "ONE_1m_data").read_text() == "mine"


def test_what_a_killed_run_left_in_any_tickers_folder_is_removed(filled):
    for name in ("AAPL", "MSFT"):
        (filled.tracked / f"{name}_1m_data").mkdir(exist_ok=True)
        (filled.tracked / f"{name}_1m_data" / ".2025-10.csv.tmp").write_text("half")
    kinds = {(one.kind, one.what) for one in verify(filled.settings(), False, STOCKS_MINUTE).problems}
    assert {("orphan", f"{name}_1m_data/.2025-10.csv.tmp") for name in ("AAPL", "MSFT")} < kinds
    filled.run(*window(DAYS), LISTED)
    assert list(filled.root.rglob("*.tmp")) == []


def test_status_counts_months(filled):
    (csvs, *_) = status(filled.settings(), STOCKS_MINUTE).tiers
    files = list(filled.tracked.glob("*_1m_data/*.csv"))
    assert (csvs.files, csvs.bytes) == (len(files), sum(path.stat().st_size for path in files)) == (8, csvs.bytes)


def test_minutes_and_days_lie_side_by_side(filled, server):
    server.put(STOCKS_DAY.key(DAYS[0]), pack(flat([("AAPL", "5"), ("ONE", "6")])))
    days = Place(filled.root, server.endpoint_url)
    days.run(DAYS[0], DAYS[0], LISTED)
    assert days.closes("AAPL") == {"2025-10-30": "5.0"}
    assert verify(days.settings(), True).problems == ()
    assert status(days.settings()).tiers[0].files == 2
    check(filled, STOCKS, LISTED)


# Verify and repair


def found(place, deep=False):
    return [(one.kind, one.what) for one in verify(place.settings(), deep, place.dataset).problems]


def mended(place):
    """The messages of a repair, which sends no request."""
    said = []
    request = Request(Window(*window(DAYS)), LISTED, dataset=place.dataset)
    assert repair(place.settings(), request, True, said.append) == frozenset()
    return said


def reseal(place, path, old, new):
    """Change a CSV and its hash in the manifest, so that only the parts show it."""
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    place.execute(
        f"UPDATE projections SET sha256 = '{digest}' WHERE ticker = '{path.parent.name.partition('_')[0]}' "
        f"AND period = '{path.stem}'"
    )


def test_months_that_are_gone_changed_or_wrong_are_found_and_rebuilt(filled):
    whole, before = filled.tiers(), inodes(filled)
    one, two, three, four = (
        filled.tracked / f"{name}_1m_data" / f"{month}.csv"
        for name, month in (("AAPL", "2025-10"), ("AAPL", "2025-11"), ("ONE", "2025-11"), ("TRUE", "2025-10"))
    )
    one.unlink()
    two.write_bytes(two.read_bytes() + b"2026-01-01 09:30:00-05:00,1,1,1,1,1\n")
    reseal(filled, three, b",", b",9")
    reseal(filled, four, b"2025-10-30", b"2026-10-30")  # its rows no longer ascend
    named = [("missing", "AAPL_1m_data/2025-10.csv"), ("damaged", "AAPL_1m_data/2025-11.csv")]
    named.append(("damaged", "TRUE_1m_data/2025-10.csv"))
    assert found(filled) == named
    assert found(filled, deep=True) == [*named, ("damaged", "ONE_1m_data/2025-11.csv")]
    assert sorted(mended(filled)) == [
        *(f"AAPL: its CSV of 2025-{month} is rebuilt from the parts" for month in (10, 11)),
        "ONE: its CSV of 2025-11 is rebuilt from the parts",
        "TRUE: its CSV of 2025-10 is rebuilt from the parts",
    ]
    assert filled.tiers() == whole
    kept = {name for name, number in inodes(filled).items() if before[name] == number}
    assert kept >= {"BAC_pL_1m_data/2025-10.csv", "ONE_1m_data/2025-10.csv", "TRUE_1m_data/2025-11.csv"}
    assert found(filled, deep=True) == []


def test_months_and_folders_that_nobody_knows_are_orphans(filled):
    (filled.tracked / "AAPL_1m_data" / "2025-09.csv").write_text("mine")
    (filled.tracked / "AAPL_1m_data" / "notes.txt").write_text("mine")
    (filled.tracked / "NVDA_1m_data").mkdir()
    (filled.tracked / "AAPL_1d_data.csv").write_text("of another kind")
    assert found(filled) == [("orphan", "minute_aggs_v1/NVDA_1m_data"), ("orphan", "AAPL_1m_data/2025-09.csv")]
    mended(filled)
    filled.run(*window(DAYS), LISTED)
    assert (filled.tracked / "AAPL_1m_data" / "2025-09.csv").read_text() == "mine"


@pytest.mark.parametrize("period", ["../../up", "2025-11\0", "2025-13", "x"])
def test_an_invalid_month_is_damage_of_the_manifest(filled, period):
    hostile = f"CAST(x'{period.encode().hex()}' AS TEXT)"
    filled.execute(f"UPDATE projections SET period = {hostile} WHERE period = '2025-11'")
    assert set(found(filled)) == {("damaged", "manifest")}


def test_the_months_of_a_ticker_that_left_are_known_and_left_alone(filled):
    filled.run(*window(DAYS), LISTED - {"AAPL"})
    (filled.tracked / "AAPL_1m_data" / "2025-10.csv").write_text("mine")
    assert found(filled, deep=True) == []
    filled.run(*window(DAYS), LISTED - {"AAPL"})
    assert (filled.tracked / "AAPL_1m_data" / "2025-10.csv").read_text() == "mine"
    filled.run(*window(DAYS), LISTED)
    check(filled, STOCKS, LISTED)


def test_a_manifest_that_is_gone_is_rebuilt_with_its_months(filled):
    whole = filled.tiers()
    (filled.root / "manifest.sqlite").unlink()
    (filled.tracked / "ONE_1m_data" / "2025-10.csv").unlink()
    assert filled.run(*window(DAYS), LISTED).gets == []
    assert filled.tiers() == whole
    assert found(filled, deep=True) == []


def test_a_folder_that_somebody_removed_is_not_missed_where_its_rows_are_gone_as_well(server, place):
    day, others = NOVEMBER[0], [f"M{number:02}" for number in range(60)]
    lines = [line for ticker in others for line in bars(ticker, opening(day), 1)]
    for texts in ([*bars("AAPL", opening(day), 3), *lines], lines):
        server.objects.update(objects([(day, text_of(texts))]))
        own = Place(place.root, server.endpoint_url, dataset=STOCKS_MINUTE)
        own.run(day, day, tracked={"AAPL"})
        shutil.rmtree(own.tracked / "AAPL_1m_data", ignore_errors=True)
    assert own.months("AAPL") == {}
    assert verify(own.settings(), dataset=STOCKS_MINUTE).problems == ()
