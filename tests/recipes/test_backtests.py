"""docs/recipes.md works as it stands: backtesting, portfolio figures and charts."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recipes_kit import DAYS, SECURITIES, SPLIT

import ingest

pytestmark = [
    pytest.mark.recipes,
    pytest.mark.filterwarnings("ignore"),  # theirs, of pandas and matplotlib
    pytest.mark.filterwarnings("error::ingest.errors.IngestWarning"),
]


@pytest.mark.recipe_of("backtrader")
def test_backtrader_trades_on_adjusted_prices_and_reads_the_tracked_csv(recipe):
    import backtrader as bt

    names = recipe.run()
    prices, (data,) = names["prices"], names["cerebro"].datas
    assert np.allclose(data.close.array, prices["Close"])
    assert [bt.num2date(day).date() for day in data.datetime.array] == [day.date() for day in prices.index]
    assert names["cerebro"].broker.getvalue() != 10_000
    again = bt.Cerebro()
    again.adddata(names["raw"])
    again.addstrategy(bt.Strategy)
    again.run()
    with Path("cache/data_cache/AAPL_1d_data.csv").open(newline="") as file:
        assert list(names["raw"].close.array) == [float(row["Close"]) for row in csv.DictReader(file)]


@pytest.mark.recipe_of("backtesting.py")
def test_backtesting_py_trades_from_the_first_bar_to_the_last(recipe):
    names = recipe.run()
    prices, result = names["prices"], names["result"]
    assert (result["Start"], result["End"]) == (prices.index[0], prices.index[-1])
    trades = result["_trades"]
    assert len(trades) > 1
    assert np.allclose(trades["EntryPrice"], prices["Open"].iloc[trades["EntryBar"]])


@pytest.mark.recipe_of("quantstats")
def test_quantstats_reports_total_returns_beside_a_benchmark(recipe):
    import quantstats as qs

    names = recipe.run()
    mine = names["mine"]
    assert np.isclose(qs.stats.sharpe(mine), mine.mean() / mine.std() * np.sqrt(252))
    assert qs.stats.max_drawdown(mine) > -0.5  # the split is no loss
    assert len(mine) == len(names["market"])
    assert "Benchmark" in Path("report.html").read_text()


@pytest.mark.recipe_of("mplfinance")
def test_mplfinance_draws_candles(recipe):
    recipe.run()
    assert Path("AAPL.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.recipe_of("zipline")
def test_zipline_ingests_tickers_with_dots_and_holes_and_pays_dividends(recipe, monkeypatch, tmp_path):
    pytest.importorskip("zipline")
    monkeypatch.setenv("ZIPLINE_ROOT", str(tmp_path / "zipline-root"))
    names = recipe.run()
    from zipline.data import bundles

    bundle = bundles.load("massive")
    assets = {asset.symbol: asset for asset in bundle.asset_finder.retrieve_all(bundle.asset_finder.sids)}
    assert sorted(assets) == ["AAPL", "BRK-B", "MSFT"]
    adjustments = bundle.adjustment_reader.unpack_db_to_component_dfs(convert_dates=True)
    paid, splits = (
        frame[frame["sid"] == assets["AAPL"].sid] for frame in map(adjustments.get, ("dividend_payouts", "splits"))
    )
    assert dict(zip(paid["ex_date"].dt.date, paid["amount"], strict=True)) == SECURITIES["AAPL"].dividends
    assert dict(zip(splits["effective_date"].dt.date, splits["ratio"], strict=True)) == {SPLIT: 0.25}
    raw = ingest.history("AAPL")
    reader = bundle.equity_daily_bar_reader
    got = [reader.get_value(assets["AAPL"], pd.Timestamp(day), "close") for day in DAYS]
    assert got == pytest.approx(raw["close"].to_list(), abs=0.001)
    assert [reader.get_value(assets["BRK-B"], pd.Timestamp(day), "volume") for day in DAYS[200:202]] == [0, 0]
    result = names["result"]
    assert len(result) == len(DAYS)
    assert 90_000 < result["portfolio_value"].iloc[-1] != 100_000  # the split is no loss


@pytest.mark.recipe_of("vectorbt")
def test_vectorbt_trades_a_panel(recipe):
    pytest.importorskip("vectorbt")
    names = recipe.run()
    close, portfolio = names["close"], names["portfolio"]
    assert list(close.columns) == ["AAPL", "MSFT", "SPY"]
    assert close.pct_change().abs().max().max() < 0.2
    assert list(portfolio.total_return().index.get_level_values(-1)) == list(close.columns)
    trades = portfolio.trades.records_readable
    assert len(trades) > 3


@pytest.mark.recipe_of("nautilus")
def test_nautilus_gets_each_day_at_its_close(recipe):
    pytest.importorskip("nautilus_trader")
    names = recipe.run()
    bars, prices = names["bars"], names["prices"]
    assert len(bars) == len(prices)
    assert float(bars[-1].close) == pytest.approx(prices["Close"].iloc[-1], abs=0.006)
    at = pd.Timestamp(bars[-1].ts_event, unit="ns", tz="UTC").tz_convert("America/New_York")
    assert (at.date(), at.hour) == (prices.index[-1].date(), 16)


@pytest.mark.recipe_of("qlib")
def test_qlib_reads_the_columns_and_the_days_that_are_missing(recipe):
    pytest.importorskip("qlib")
    names = recipe.run()
    close, features = names["panel"]["close"], names["features"]
    for ticker in ("AAPL", "BRK.B"):
        theirs = features.loc[ticker]
        assert np.allclose(theirs["$close"], close[ticker], rtol=1e-6, equal_nan=True)
        assert [day.date() for day in theirs.index] == DAYS
        assert np.allclose(theirs["Ref($close, 1)"][1:], close[ticker][:-1], rtol=1e-6, equal_nan=True)
    assert close["BRK.B"].isna().sum() == 2
