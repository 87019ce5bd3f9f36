"""Files of every market through whole runs: what a row has, what it means, and what is told of it."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_kit import Place

from ingest import finding, settings
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import UsageError
from ingest.finding import Finding
from ingest.maintenance import status
from ingest.market.calendars import Calendar, last_due, today
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY, named
from ingest.planning.plan import Stored, Wanted, make_plan
from ingest.reading import history as stored
from ingest.reading.adjusting.actions import HistoryQuery
from ingest.reading.adjusting.freshness import newest_session
from ingest.sources.base import RemoteObject
from ingest.splitting.parsing import read_header

pytestmark = pytest.mark.usefixtures("loopback_keys")

OPTIONS, INDICES, FUTURES = named("options-day"), named("indices-day"), named("futures-comex-day")
MONDAY, TUESDAY = date(2025, 8, 25), date(2025, 8, 26)
FUTURES_HEADER = (
    "ticker,exchange,session_end_date,window_start,open,high,low,close,volume,dollar_volume,transactions,"
    "settlement_price"
)
SPREAD = "1OZZ5-1OZG6"
FLY = "BZ:BF G6-H6-J6"


def futures(session, end=None):
    """Rows as in the vendor's examples: spreads below zero, names with colons and spaces, stamps in milliseconds."""
    told = f"2,{end or session},1756082400000"
    return (
        f"{FUTURES_HEADER}\n"
        f"{SPREAD},{told},-28,-27.5,-28,-28,2,-56,1,-27.9\n"
        f"{FLY},{told},0,0.02,0,0.02,1,0.02,1,\n"
        f"GCZ5,{told},3400.1,3420.5,3390,3411.7,150000,5.1e8,70000,3410.2\n"
    ).encode()


def option_rows(stamp):
    lines = [f"O:SPY25091{n}C00650000,{n + 1},1.5,1.5,1.5,1.5,{stamp},1" for n in range(3)]
    return "\n".join(["ticker,volume,open,close,high,low,window_start,transactions", *lines, ""]).encode()


class Here:
    def __init__(self, tmp_path, server, dataset):
        self.server, self.dataset = server, dataset
        self.place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset)
        config = tmp_path / "config.toml"
        config.write_text(f'[cache]\nroot = "{self.place.root}"\n[fallback]\nenabled = false\n')
        self.settings = settings.load(config)

    def history(self, *tickers, columns=None):
        return stored.history(self.settings, self.dataset, HistoryQuery(tickers, columns=columns, fetch=False))

    def day(self, session):
        return stored.day_rows(self.settings, self.dataset, session)

    def scan(self):
        return stored.scan(self.settings, self.dataset, None, None)

    def findings(self):
        return status.findings(self.settings, dataset=self.dataset)


@pytest.fixture
def here(tmp_path):
    """A place for files of a dataset, which it has run over."""
    opened = []

    def start(dataset, files, tracked=()):
        context = loopback.serve({dataset.key(day): pack(text) for day, text in files.items()})
        opened.append(context)
        found = Here(tmp_path, context.__enter__(), dataset)
        found.place.run(min(files), max(files), tracked=tracked)
        return found

    yield start
    for context in opened:
        context.__exit__(None, None, None)


def test_an_options_day_whose_every_stamp_is_wrong_has_its_date_from_the_key(here):
    found = here(OPTIONS, {MONDAY: option_rows(-68400000000000)}, {"O:SPY250910C00650000"})
    assert found.findings() == [(MONDAY, Finding(finding.OTHER_DATE, 3, ("1969-12-31",)))]
    assert found.history("O:SPY250910C00650000")["date"].to_list() == [MONDAY]
    assert found.day(MONDAY)["date"].unique().to_list() == [MONDAY]
    assert list(found.place.csv("SPY250910C00650000")) == [str(MONDAY)]


def test_futures_have_their_own_columns_and_nothing_is_found_amiss(here):
    found = here(FUTURES, {MONDAY: futures(MONDAY), TUESDAY: futures(TUESDAY)}, {SPREAD, FLY})
    assert found.findings() == []
    day = found.day(TUESDAY)
    assert day["ticker"].to_list() == [SPREAD, FLY, "GCZ5"]
    assert day["settlement_price"].to_list() == [-27.9, None, 3410.2]
    assert day["dollar_volume"].to_list() == [-56, 0.02, 5.1e8]
    assert day["close"].to_list() == [-28, 0.02, 3411.7]
    scanned = found.scan().filter(pl.col("settlement_price") > 0).select("date", "ticker", "settlement_price").collect()
    assert scanned.rows() == [(MONDAY, "GCZ5", 3410.2), (TUESDAY, "GCZ5", 3410.2)]
    assert found.scan().filter(pl.col("date") == TUESDAY).collect().equals(day)
    rows = found.history("GCZ5", SPREAD, columns=["ticker", "close", "settlement_price", "transactions"])
    assert rows.rows()[::2] == [(SPREAD, -28, -27.9, 1), ("GCZ5", 3411.7, 3410.2, 70000)]
    assert found.history(SPREAD)["settlement_price"].to_list() == [-27.9] * 2
    assert found.place.closes("BZ%3ABF%20G6-H6-J6") == {str(MONDAY): "0.02", str(TUESDAY): "0.02"}


def test_numbers_in_another_dress_are_numbers_and_what_is_none_is_null(here):
    odd = futures(MONDAY).replace(b",-27.9", b", -27.9 ").replace(b",5.1e8,70000,", b",lots,70000.0,")
    day = here(FUTURES, {MONDAY: odd}).day(MONDAY)
    assert day["settlement_price"].to_list() == [-27.9, None, 3410.2]
    assert day["dollar_volume"].to_list() == [-56, 0.02, None]
    assert day["transactions"].to_list() == [1, 1, 70000]


def test_a_column_of_another_market_is_no_column(here):
    found = here(OPTIONS, {MONDAY: option_rows(1756094400000000000)})
    with pytest.raises(UsageError, match="'settlement_price' is unknown; choose from ticker, date"):
        found.history("O:SPY250910C00650000", columns=["settlement_price"])


def test_futures_whose_sessions_end_on_another_date_are_told_of(here):
    found = here(FUTURES, {MONDAY: futures(MONDAY, TUESDAY)})
    assert found.findings() == [(MONDAY, Finding(finding.OTHER_DATE, 3, (str(TUESDAY),)))]


def test_a_new_column_is_kept_and_said_once(here):
    odd = futures(MONDAY).replace(b"settlement_price", b"open_interest", 1)
    found = here(FUTURES, {MONDAY: odd})
    assert found.findings() == [(MONDAY, Finding(finding.UNKNOWN_COLUMN, 1, ("open_interest",)))]
    assert found.day(MONDAY)["settlement_price"].null_count() == 3
    assert found.place.part_text(MONDAY, "archive") == odd


INDEX_ROWS = b"ticker,open,close,high,low,window_start\nI:AAVE100,96.76700000000000,99.2175,100.4065,95.5217,%d\n"


@pytest.mark.parametrize("tracked", [(), {"I:AAVE100"}], ids=["archived", "tracked"])
def test_indices_have_neither_volume_nor_trades(here, tracked):
    stamp = int(datetime(2025, 8, 25, 4, tzinfo=UTC).timestamp()) * 10**9
    other = stamp + 86_400 * 10**9
    found = here(INDICES, {MONDAY: INDEX_ROWS % stamp, TUESDAY: INDEX_ROWS % other}, tracked)
    assert found.findings() == []
    for rows in (found.day(MONDAY), found.scan().filter(pl.col("date") == MONDAY).collect()):
        (row,) = rows.rows(named=True)
        assert (row["close"], row["volume"], row["transactions"]) == (99.2175, None, None)
    assert found.history("I:AAVE100").select("close", "volume").rows() == [(99.2175, None)] * 2
    found.server.put(INDICES.key(MONDAY), pack((INDEX_ROWS % stamp).replace(b"99.2175", b"99.5")))
    found.place.run(MONDAY, TUESDAY, tracked=tracked)
    assert found.history("I:AAVE100")["close"].to_list() == [99.5, 99.2175]
    ((session, removed, added),) = found.place.corrections()
    assert (session, len(removed), len(added)) == (MONDAY, 1, 1)


def test_an_index_file_that_lacks_a_price_is_refused_by_name(here):
    found = here(INDICES, {MONDAY: (INDEX_ROWS % 1).replace(b"close", b"last")})
    assert found.place.state(MONDAY) == ("quarantined", "listed")


def test_a_window_over_the_day_when_volumes_became_decimal_reads_as_one_frame(here):
    before, after = date(2026, 2, 20), date(2026, 2, 23)
    header = "ticker,volume,open,close,high,low,window_start,transactions"
    texts = {
        day: f"{header}\nAAPL,{volume},1,1,1,1,{datetime(2026, 2, day.day, 5, tzinfo=UTC).timestamp():.0f}000000000,1\n"
        for day, volume in ((before, "1200"), (after, "1200.375"))
    }
    found = here(STOCKS_DAY, {day: text.encode() for day, text in texts.items()}, {"AAPL"})
    assert found.findings() == []
    rows = found.history("AAPL")
    assert rows.schema["volume"] == pl.Float64
    assert rows["volume"].to_list() == found.scan().collect()["volume"].to_list() == [1200, 1200.375]
    assert [line.rpartition(",")[2] for line in found.place.csv("AAPL").values()] == ["1200.0", "1200.375"]


@pytest.mark.parametrize("dataset", CATALOGUE.values(), ids=lambda one: one.short)
def test_a_header_with_all_columns_of_its_entry_has_none_that_is_unknown(dataset):
    header = read_header(",".join((*dataset.optional, *dataset.required)).encode(), dataset)
    assert (header.unknown, header.numbers) == ((), dataset.numbers)
    assert dataset.stamp in dataset.optional
    assert set(dataset.extras) <= set(dataset.optional)
    assert (dataset.unit is None) is not dataset.has_volume


# Calendars

WINDOW = (date(2025, 4, 14), date(2025, 4, 22))  # Good Friday is the 18th
PAST = {14: "absent", 15: "absent", 16: "absent"}
LISTED = {date(2025, 4, 17): RemoteObject("", 1, "", "")}


@pytest.mark.parametrize(
    ("short", "expected"),
    [
        *(
            (short, {**PAST, 18: "holiday", 21: "unpublished", 22: "unpublished"})
            for short in ("stocks-day", "futures-cme-day")
        ),
        ("forex-day", {**PAST, **dict.fromkeys((18, 20, 21, 22), "unpublished")}),
        ("crypto-day", {**PAST, **dict.fromkeys(range(18, 23), "unpublished")}),
    ],
)
def test_each_day_has_its_reason_by_the_calendar_of_its_market(short, expected):
    calendar = Calendar.of(named(short).calendar)
    plan = make_plan(WINDOW, LISTED, Stored({}), calendar.is_session, Wanted(frozenset(), True))
    assert {one.session.day: one.remote for one in plan.decisions if one.session.day != 17} == expected


FRIDAY, SATURDAY, SUNDAY = (MONDAY - timedelta(days=back) for back in (3, 2, 1))


@pytest.mark.parametrize(
    ("short", "gaps"),
    [
        ("stocks-day", ()),
        ("futures-comex-day", ()),
        ("forex-day", ((SUNDAY, SUNDAY, 1),)),
        ("crypto-day", ((SATURDAY, SUNDAY, 2),)),
    ],
)
def test_status_counts_gaps_and_age_by_the_calendar_of_the_market(here, short, gaps):
    dataset = named(short)
    text = ",".join((*dataset.required, "window_start")).encode() + b"\n" + b"X:A-USD" + b",1" * 6 + b"\n"
    told = here(dataset, {FRIDAY: text, MONDAY: text}).place.status()
    assert told.gaps == gaps
    assert told.age_sessions == sum(map(Calendar.of(dataset.calendar).is_session, _days_since(MONDAY)))


def _days_since(day):
    return (day + timedelta(days=n) for n in range(1, (last_due() - day).days + 1))


MOMENTS = st.integers(1_270_000_000, 2_200_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))


@given(MOMENTS, st.sampled_from([*CATALOGUE.values()]))
def test_a_window_that_ends_today_in_new_york_has_every_session_that_is_over(moment, dataset):
    newest = newest_session(dataset, moment)
    assert newest <= today(moment)
    assert today(moment) - newest <= timedelta(days=6)
