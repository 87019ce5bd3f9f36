"""`ingest show` of datasets other than stocks: the units of their prices and volumes."""

from datetime import date

import pytest
from pipeline_kit import Place

from ingest.demo.files.files import files_of
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.market.calendars import Calendar
from ingest.market.catalogue import named

SPAN = date(2025, 11, 10), date(2025, 11, 14)
CRYPTO = named("crypto-day")


@pytest.fixture
def show(loopback_keys, tmp_path):
    """Lines of the command, by dataset and ticker."""

    def run(name, ticker):
        dataset = named(name)
        objects = files_of(dataset, 20).objects(Calendar.of(dataset.calendar).between(*SPAN))
        with loopback.serve(dict(objects)) as server:
            place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset)
            place.run(*SPAN, tracked=[ticker])
        told = place.here("show", ticker, "-d", name, "--no-fetch", "--start", SPAN[0], "--end", SPAN[1], COLUMNS="120")
        assert (told.code, told.err) == (0, "")
        return told.out.splitlines()

    return run


@pytest.mark.parametrize(
    ("name", "ticker", "priced", "counted"),
    [
        ("options-day", "O:AAPL270115C00255000", "dollars", "contracts"),
        ("crypto-day", "X:BTC-EUR", "EUR", "coins"),
        ("forex-day", "C:USD-JPY", "JPY", "quotes"),
        ("futures-cme-day", "ESZ5", "the exchange's units", "contracts"),
    ],
)
def test_it_says_what_prices_are_in_and_what_the_volume_counts(show, name, ticker, priced, counted):
    lines = show(name, ticker)
    assert lines[1] == f"prices in {priced}, as traded"
    (average,) = (line.split("  ")[-1].strip() for line in (one.rstrip() for one in lines) if "average volume" in line)
    volume, _, money = average.partition(", ")
    assert volume.endswith(f" {counted}")
    assert money.endswith(f" {priced}") is (counted == "coins")


def test_an_index_has_points_and_no_volume(show):
    lines = show("indices-day", "I:SPX")
    assert lines[1] == "prices in points, as traded"
    assert not [line for line in lines if "volume" in line]


@pytest.mark.parametrize(
    ("name", "ticker", "decimals"), [("forex-day", "C:EUR-USD", 4), ("crypto-day", "X:SHIB-USD", 9)]
)
def test_prices_of_pairs_have_digits_enough_to_tell_them_apart(show, name, ticker, decimals):
    rows = [line.split() for line in show(name, ticker) if line.startswith("2025-")]
    assert {len(price.partition(".")[2]) for row in rows for price in row[1:5]} == {decimals}
    assert len({row[4] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("numbers", "row"),
    [
        (
            "374613847600.5,0.000030301,0.000030804,0.000030902,0.000029803",
            "0.000030301  0.000030902  0.000029803  0.000030804          374.6bn",
        ),
        (
            "0.08794172,74010.86,74178.01,74186.42,73997.34",
            "74,010.86  74,186.42  73,997.34  74,178.01          0.0879",
        ),
        ("1053.04,74010.86,74178.01,74186.42,73997.34", "74,010.86  74,186.42  73,997.34  74,178.01           1,053"),
    ],
)
def test_eighty_columns_cut_no_number_and_no_volume_of_a_coin_is_nought(loopback_keys, tmp_path, numbers, row):
    days = Calendar.of(CRYPTO.calendar).between(*SPAN)
    header = "ticker,volume,open,close,high,low,window_start,transactions"
    text = f"{header}\nX:BTC-USD,{numbers},1,9\n"
    with loopback.serve({CRYPTO.key(day): pack(text.encode()) for day in days}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=CRYPTO)
        place.run(*SPAN, tracked=["X:BTC-USD"])
    flags = ("--no-fetch", "--start", SPAN[0], "--end", SPAN[1])
    for columns in ("80", "40"):
        lines = place.here("show", "X:BTC-USD", *flags, COLUMNS=columns).out.splitlines()
        assert f"2025-11-10  {row}" in lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("BTC-USD",),
            "in stocks-day (no source was asked); tickers are case-sensitive and use the vendor's spelling",
        ),
        (
            ("AAPL", "-d", "crypto-day"),
            "in crypto-day (no source was asked); all tickers of crypto-day begin",
        ),
        (
            ("O:A250910C00650000", "-i", "1h"),
            "in options-minute (no source was asked); tickers are case-sensitive",
        ),
    ],
)
def test_where_nothing_is_stored_it_names_the_dataset_that_was_read(tmp_path, arguments, words):
    told = Place(tmp_path / "cache", "http://127.0.0.1:9").here("show", *arguments, "--no-fetch")
    assert (told.code, words in told.err) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("AAPL", "-i", "90m"), "Run `ingest run --dataset stocks-minute --start 2025-11-10` to download it."),
        (("X:BTC-USD",), "Run `ingest run --dataset crypto-day --start 2025-11-10` to download it."),
        (("AAPL",), "Run `ingest run --start 2025-11-10` to download it."),
        (("AAPL", "-d", "crypto-day"), "all tickers of crypto-day begin with X:"),
    ],
)
def test_where_nothing_is_stored_it_says_how_to_download_it(tmp_path, arguments, advice):
    flags = ("--no-fetch", "--start", "2025-11-10", "--end", "2025-11-12")
    told = Place(tmp_path / "cache", "http://127.0.0.1:9").here("show", *arguments, *flags)
    assert (told.code, told.err.rstrip().endswith(advice)) == (4, True)
