"""Each query of docs/cookbook.md, as it stands: its answer is that of polars."""

import re
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from pipeline_kit import Place, pack, trading_days, window
from polars.testing import assert_frame_equal

import ingest
from ingest.demo.files.files import files_of
from ingest.demo.servers import loopback
from ingest.market.catalogue import CATALOGUE

PAGE = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text(encoding="utf-8")
QUERIES = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```sql\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
DAYS = trading_days(date(2025, 9, 2), 60)
FEW = {"stocks-day": (60, DAYS), "options-day": (300, DAYS[-3:])}
MINE = pl.DataFrame({"ticker": ["AAPL", "SPY", "NONE"], "shares": [10.0, 2.5, 7.0]})

LAST = pl.col("date") == DAYS[-1]
CLOSE, BEFORE = pl.col("close"), pl.col("close").shift().over("ticker", order_by="date")
DOLLARS = CLOSE * pl.col("volume")


def with_chain(text):
    """A file of options with calls and puts of SPY at many strikes."""
    rows = pl.read_csv(text, infer_schema_length=None, schema_overrides={"ticker": pl.String})
    if not rows["ticker"].str.starts_with("O:").any():
        return text
    strikes = [(right, strike) for right in "CP" for strike in range(500, 800, 10)]
    chain = [rows[0].with_columns(ticker=pl.lit(f"O:SPY260320{right}{1000 * at:08}")) for right, at in strikes]
    return pl.concat([rows, *chain]).unique("ticker").sort("ticker").write_csv().encode()


@pytest.fixture(scope="module")
def folder(environment, tmp_path_factory):
    """A cache of stocks and options, with a lake, and a CSV beside it."""
    folder = tmp_path_factory.mktemp("cookbook")
    for short, (rows, days) in FEW.items():
        (dataset,) = [one for one in CATALOGUE.values() if one.short == short]
        made = files_of(dataset, rows)
        with loopback.serve({dataset.key(day): pack(with_chain(made.text(day))) for day in days}) as server:
            place = Place(folder / "cache", server.endpoint_url, dataset=dataset, lake=True)
            place.run(*window(days), tracked=frozenset(made.always(days[-1])[:2]))
    (folder / "config.toml").write_text('[cache]\nroot = "cache"\n[fallback]\nenabled = false\n')
    MINE.write_csv(folder / "mine.csv")
    return folder


@pytest.fixture
def ask(folder, monkeypatch):
    """The answer to a query of the page."""
    monkeypatch.chdir(folder)
    return lambda title: ingest.sql(QUERIES[title])


@pytest.fixture
def bars(folder):
    """All stored rows of stocks, sorted, without the column source."""
    return ingest.scan(config=folder / "config.toml").drop("source").collect().sort("ticker", "date")


@pytest.fixture
def options(folder):
    """The rows of options of the last session."""
    rows = ingest.scan(dataset="options-day", config=folder / "config.toml").collect()
    return rows.filter(LAST & pl.col("underlying").is_not_null())


def check(found, expected):
    """Both are the same, up to the last digits of sums, and are not empty."""
    assert found.height
    names = found.columns
    assert sorted(names) == sorted(expected.columns)
    assert_frame_equal(found, expected.select(names), check_dtypes=False, rel_tol=1e-9, abs_tol=0.0051)


def test_movers(ask, bars):
    rows = bars.with_columns(change=CLOSE / BEFORE - 1, dollars=DOLLARS).filter(LAST, pl.col("dollars") >= 1e6)
    rows = rows.drop_nulls("change").sort(pl.col("change").abs(), "ticker", descending=[True, False]).head(20)
    expected = rows.select("ticker", "close", "dollars", percent=100 * pl.col("change"))
    check(ask("Movers"), expected)


def test_gaps(ask, bars):
    rows = bars.with_columns(before=BEFORE).with_columns(percent=100 * (pl.col("open") / pl.col("before") - 1))
    rows = rows.filter(pl.col("date") >= DAYS[-5], pl.col("percent").abs() >= 2).sort("date", "ticker")
    check(ask("Gaps"), rows.select("date", "ticker", "before", "open", "percent"))


def test_relative_volume(ask, bars):
    usual = pl.col("volume").shift().rolling_mean(20).over("ticker", order_by="date")
    rows = bars.with_columns(times=pl.col("volume") / usual).filter(LAST).drop_nulls("times")
    rows = rows.sort("times", "ticker", descending=[True, False]).head(20)
    check(ask("Relative volume"), rows.select("ticker", "volume", "times"))


def test_highs(ask, bars):
    year = bars.filter(pl.col("date") < DAYS[-1], pl.col("date") >= DAYS[-1] - timedelta(weeks=52))
    before = year.group_by("ticker").agg(before=pl.col("high").max())
    rows = bars.filter(LAST).join(before, on="ticker").filter(pl.col("high") > pl.col("before")).sort("ticker")
    check(ask("52-week highs"), rows.select("ticker", "high", "before"))


def test_breadth(ask, bars):
    mean = CLOSE.rolling_mean(20).over("ticker", order_by="date")
    rows = bars.with_columns(before=BEFORE, mean=mean)
    expected = rows.group_by("date").agg(
        up=(pl.col("before") < CLOSE).sum(),
        down=(pl.col("before") > CLOSE).sum(),
        above=(100 * (pl.col("mean") < CLOSE).mean()).round(1),
    )
    found = ask("Breadth")
    assert found["above"].null_count() == 19
    check(found, expected.sort("date"))


def test_volatility(ask, bars):
    rows = bars.with_columns(change=(CLOSE / BEFORE).log()).drop_nulls("change")
    rows = rows.group_by("ticker", maintain_order=True).tail(20)
    expected = rows.group_by("ticker").agg(
        sessions=pl.len(), until=pl.col("date").max(), volatility=100 * pl.col("change").std() * 252**0.5
    )
    expected = expected.filter(pl.col("sessions") == 20).drop("sessions").sort("ticker")
    check(ask("Realised volatility"), expected)


def test_universe(ask, bars):
    days = [day for day in DAYS if day <= date(2025, 10, 15)][-20:]
    rows = bars.with_columns(last=pl.col("date").max().over("ticker")).filter(pl.col("date").is_in(days))
    expected = rows.group_by("ticker").agg(sessions=pl.len(), dollars=DOLLARS.median(), last=pl.col("last").first())
    expected = expected.filter(pl.col("sessions") >= 15).sort("dollars", "ticker", descending=[True, False]).head(500)
    found = ask("The universe of a date")
    assert (found["last"] < DAYS[-1]).any(), "some have left since"
    check(found, expected.drop("sessions"))


def test_puts_and_calls(ask, options):
    def of(right):
        return pl.col("volume").filter(pl.col("right") == right).sum()

    rows = options.group_by("underlying").agg(puts=of("P"), calls=of("C"))
    rows = rows.with_columns(ratio=pl.col("puts") / pl.when(pl.col("calls") > 0).then("calls"))
    expected = rows.sort(pl.col("puts") + pl.col("calls"), "underlying", descending=[True, False])
    check(ask("Puts and calls"), expected)


def test_straddles(ask, bars, options):
    spot = bars.filter(LAST, pl.col("ticker") == "SPY")["close"].item()
    rows = options.filter(pl.col("underlying") == "SPY").pivot(
        "right", index=["expiry", "dte", "strike"], values="close"
    )
    rows = rows.drop_nulls().sort("expiry", (pl.col("strike") - spot).abs(), "strike")
    rows = rows.unique("expiry", keep="first", maintain_order=True).with_columns(straddle=pl.col("C") + pl.col("P"))
    expected = rows.with_columns(percent=100 * pl.col("straddle") / spot).drop("C", "P")
    check(ask("Straddles at the money"), expected)


def test_a_csv_of_your_own(ask, bars):
    rows = bars.join(MINE, on="ticker").group_by("date")
    expected = rows.agg(tickers=pl.len(), dollars=(pl.col("shares") * CLOSE).sum()).sort("date")
    check(ask("With a CSV of your own"), expected)


def test_a_wide_panel(ask, bars):
    few = bars.filter(pl.col("ticker").is_in(["AAPL", "MSFT", "SPY"]))
    check(ask("A wide panel"), few.pivot("ticker", index="date", values="close").sort("date"))


def test_polars_and_pandas(folder, bars, monkeypatch):
    monkeypatch.chdir(folder)
    told = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        exec(block, told)
    few = bars.filter(pl.col("ticker").is_in(["AAPL", "SPY"]))
    assert_frame_equal(told["wide"].select("date", "AAPL", "SPY"), few.pivot("ticker", index="date", values="close"))
    assert told["frame"]["close"].tolist() == bars.filter(pl.col("ticker") == "AAPL")["close"].to_list()
    expected = told["wide"].select(pl.col("AAPL") / pl.col("SPY")).to_series().to_list()
    assert told["ratios"]["ratio"].tolist() == pytest.approx(expected)


def test_each_query_is_found_and_has_a_test():
    assert len(QUERIES) == PAGE.count("```sql")
    assert set(QUERIES) == set(re.findall(r'ask\("([^"]+)"\)', Path(__file__).read_text()))
