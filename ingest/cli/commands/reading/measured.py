"""What `ingest show` says about a ticker's rows below its table."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from ingest.cli.commands.reading.chart import short, stamped
from ingest.market.datasets import Dataset
from ingest.reading.measures import USUAL, Measures, Move


def currency(dataset: Dataset, ticker: str) -> str:
    """The unit of prices: a pair names its own, an index has points, and futures are quoted in the exchange's units."""
    if dataset.unit in ("coins", "quotes"):
        return ticker.rpartition("-")[2]
    if dataset.signed:
        return "the exchange's units"
    return "dollars" if dataset.unit else "points"


def measured(dataset: Dataset, ticker: str, found: Measures) -> Mapping[str, str]:
    """The measures of a ticker's rows as labels and values."""
    return {
        "return": percent(found.total_return) or "-",
        "volatility a year": _volatilities(found),
        **(_volumes(dataset, ticker, found) if dataset.unit else {}),
        "largest rises": _moves(found.largest_up),
        "largest falls": _moves(found.largest_down),
    }


def _volumes(dataset: Dataset, ticker: str, found: Measures) -> Mapping[str, str]:
    """Volume × price is an amount of money only where the volume counts what the price buys: shares and coins."""
    unit = dataset.unit
    money = f", {short(found.average_dollar_volume)} {currency(dataset, ticker)}" if unit in ("shares", "coins") else ""
    usual = "" if found.volume_ratio is None else f", {found.volume_ratio:.2f} × the mean of the {USUAL} before"
    return {
        "average volume": f"{short(found.average_volume)} {unit}{money}",
        "last volume": f"{short(found.last_volume)}{usual}",
        "on-balance volume": short(found.on_balance_volume),
    }


def _volatilities(found: Measures) -> str:
    if isinstance(found.first, datetime):
        return "not for intraday bars, which leave out overnight moves"
    volatilities = {
        "close to close": found.volatility_close,
        "Parkinson": found.volatility_parkinson,
        "Garman-Klass": found.volatility_garman_klass,
    }
    return ", ".join(f"{name} {_share(value)}" for name, value in volatilities.items())


def _moves(moves: Sequence[Move]) -> str:
    return ", ".join(f"{stamped(move.date)} {percent(move.change)}" for move in moves) or "-"


def percent(change: float | None) -> str:
    """A change in percent with its sign; empty if it is unknown."""
    return "" if change is None else f"{change:+.2%}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
