"""The contracts of one underlying: `ingest.chain` and `ingest chain`, over generated files of options."""

import json
import re
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from pipeline_kit import Place, pack

import ingest
from ingest.demo.files.files import files_of
from ingest.demo.servers import loopback
from ingest.errors import IngestWarning, NotFound, UsageError
from ingest.market.catalogue import CATALOGUE
from ingest.market.contracts import contract_of

OPTIONS = CATALOGUE["options-day"]
DAYS = (date(2025, 11, 10), date(2025, 11, 11))
MADE = files_of(OPTIONS, 3000)
COLUMNS = ["ticker", "date", "underlying", "expiry", "dte", "strike", "right", "open", "high", "low", "close"]
ADJUSTED = b"O:SPY1251219C00012500,7,1.5,1.5,1.5,1.5,1762837200000000000,3\nO:SPY,1,1,1,1,1,1762837200000000000,1\n"
THOUSANDTHS = b"O:SPY1260116P00012345,7,1234.5,1234.5,1234.5,1234.5,1762837200000000000,3\n"


@pytest.fixture(scope="module")
def server():
    texts = {day: MADE.text(day) + ADJUSTED + THOUSANDTHS for day in DAYS}
    with loopback.serve({OPTIONS.key(day): pack(text) for day, text in texts.items()}) as running:
        yield running


@pytest.fixture
def place(server, loopback_keys, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, dataset=OPTIONS)
    place.run(*DAYS)
    return place


@pytest.fixture
def config(place):
    return place.config()


def expected(day, root, config):
    rows = ingest.day(day, dataset="options-day", config=config)
    chosen = [one for one in rows["ticker"] if (told := contract_of(one)) and told.underlying == root]
    return rows.filter(pl.col("ticker").is_in(chosen))


def test_a_chain_has_each_contract_of_the_root_in_order(config):
    rows = ingest.chain("SPY", on="2025-11-10", config=config)
    assert rows.columns == [*COLUMNS, "volume", "transactions"]
    assert rows.height > 10
    assert rows.equals(rows.sort("expiry", "strike", "right"))
    assert set(rows["underlying"]) == {"SPY"}
    assert set(rows["date"]) == {DAYS[0]}
    assert rows.sort("ticker").equals(expected(DAYS[0], "SPY", config).select(rows.columns))
    assert ingest.chain("O:SPY", on=DAYS[0], config=config).equals(rows)


def test_by_default_it_is_that_of_the_newest_stored_session(config):
    assert set(ingest.chain("SPY", config=config)["date"]) == {DAYS[1]}


def test_adjusted_contracts_have_a_chain_of_their_own(config):
    rows = ingest.chain("SPY1", on=DAYS[1], config=config)
    own = rows.filter(strike=12.5, right="C")
    assert own.select("ticker", "expiry", "dte", "close", "volume", "transactions").rows() == [
        ("O:SPY1251219C00012500", date(2025, 12, 19), 38, 1.5, 7.0, 3)
    ]
    assert set(rows["underlying"]) == {"SPY1"}


def test_one_expiry_is_a_part_of_the_chain(config):
    rows = ingest.chain("SPY", config=config)
    (day, count) = Counter(rows["expiry"]).most_common(1)[0]
    one = ingest.chain("SPY", expiry=str(day), config=config)
    assert one.height == count
    assert one.equals(rows.filter(expiry=day))


def test_the_lake_has_the_same_chain(server, place, config, tmp_path):
    kept = Place(tmp_path / "other", server.endpoint_url, dataset=OPTIONS, lake=True)
    kept.run(*DAYS)
    assert list((kept.root / "lake").rglob("*.parquet"))
    assert ingest.chain("SPY", config=kept.config()).equals(ingest.chain("SPY", config=config))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"on": "2025-11-12"}, "the file of 2025-11-12 is not stored"),
        ({"on": "2025-11-09"}, "2025-11-09 is not a session of options-day: the market was closed"),
        ({"on": "2010-11-09"}, "2010-11-09: the first files of options-day are from 2014-06-02"),
        ({"underlying": "spy"}, r"no contract of spy traded on 2025-11-11 \(did you mean SPY\?\)"),
        ({"underlying": "NOPE99"}, "no contract of NOPE99 traded on 2025-11-11$"),
        (
            {"expiry": "2025-12-20"},
            r"that traded on 2025-11-11 expires on 2025-12-20; the nearest expiries are 2025-",
        ),
    ],
)
def test_what_there_is_not_is_said(config, asked, words):
    with pytest.raises(NotFound, match=words):
        ingest.chain(**{"underlying": "SPY"} | asked, config=config)


@pytest.mark.parametrize("text", ["", "O:", "SP*", "???"])
def test_what_is_no_root_is_an_error(config, text):
    with pytest.raises(UsageError, match=r"underlying: |root of options"):
        ingest.chain(text, config=config)


def test_without_any_session_it_says_what_to_run(server, tmp_path):
    empty = Place(tmp_path / "empty", server.endpoint_url, dataset=OPTIONS)
    with pytest.raises(NotFound, match=r'no data for options-day\. Call ingest\.run\(dataset="options-day"\)'):
        ingest.chain("SPY", config=empty.config())
    told = empty.here("chain", "SPY")
    assert (told.code, told.out) == (4, "")
    assert "`ingest run --dataset options-day`" in told.err


def test_a_session_stored_without_other_tickers_is_warned_of(server, loopback_keys, tmp_path):
    place = Place(tmp_path / "few", server.endpoint_url, dataset=OPTIONS)
    ticker = next(one for one in MADE.always(DAYS[1]) if one.startswith("O:SPY2"))
    place.run(*DAYS, tracked={ticker}, save_others=False)
    with pytest.warns(IngestWarning, match="only the tickers tracked at the time were stored"):
        rows = ingest.chain("SPY", config=place.config())
    assert rows["ticker"].to_list() == [ticker]


# The command


def test_the_command_prints_a_row_a_contract(place, config):
    rows = ingest.chain("SPY", config=config)
    (day, count) = Counter(rows["expiry"]).most_common(1)[0]
    told = place.here("chain", "SPY", "--expiry", str(day))
    assert (told.code, told.err) == (0, "")
    heading, prices, header, *lines = told.out.splitlines()
    assert heading == f"SPY on 2025-11-11: {count} contracts, expiry {day}"
    assert prices == "prices in dollars, as traded; volume in contracts"
    assert header.split() == ["expiry", "dte", "strike", "right", *COLUMNS[-4:], "volume", "transactions"]
    assert len(lines) == count
    first = rows.filter(expiry=day).row(0, named=True)
    assert lines[0].split()[:4] == [str(day), str(first["dte"]), f"{first['strike']:,.2f}", first["right"]]
    assert lines[0].split()[7:] == [f"{first['close']:,.2f}", f"{first['volume']:,.0f}", str(first["transactions"])]


def test_strikes_have_as_many_digits_as_they_need(place):
    (line,) = (one for one in place.here("chain", "SPY1").out.splitlines() if "12.345" in one)
    assert line.split() == ["2026-01-16", "66", "12.345", "P", *["1,234.50"] * 4, "7", "3"]


def test_a_long_chain_is_cut_and_says_so(place, config, monkeypatch):
    monkeypatch.setattr("ingest.cli.commands.reading.chain._SHOWN", 5)
    count = ingest.chain("SPY", config=config).height
    told = place.here("chain", "SPY").out.splitlines()
    assert len(told) == 3 + 5 + 1
    assert told[-1] == f"the first 5 of {count} contracts: --expiry chooses a day, --json has all"


def test_json_has_a_record_a_contract(place, config):
    told = [json.loads(line) for line in place.here("chain", "SPY", "--json", "--on", "2025-11-10").out.splitlines()]
    rows = ingest.chain("SPY", on=DAYS[0], config=config)
    assert {one.pop("kind") for one in told} == {"contract"}
    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    (entry,) = re.findall(r"^- \*\*`contract`\*\*(.*?)^- ", page, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`(\w+)`", entry)) == set(rows.columns)
    dates = {name: rows[name].cast(pl.String) for name in ("date", "expiry")}
    asked = [{name: one[name] for name in rows.columns} for one in told]
    assert asked == rows.with_columns(**dates).to_dicts()
