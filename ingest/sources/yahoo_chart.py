"""The corporate actions that Yahoo's chart lists for a security, by their own dates.

yfinance's table puts an event on a row, and if Yahoo has no row for the ex-date, on the one before. So events are read
from the lists of the answer itself, which passes through yfinance.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ingest.market.corporate_actions import Dividend, StockSplit, summed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class ChartEvents:
    """Splits, dividends and capital gains, ascending; amounts per share of today.

    `instrument` is Yahoo's type of the security. `certain` is False if the dates are those of yfinance's rows.
    """

    splits: tuple[StockSplit, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    gains: tuple[Dividend, ...] = ()
    instrument: str = ""
    certain: bool = True


def overheard(ticker: Any) -> "Overheard":
    """What a `yfinance.Ticker` will receive; nothing if its access to Yahoo differs from that of today's versions."""
    found = Overheard(getattr(ticker, "_data", None))
    if hasattr(ticker, "_data"):
        ticker._data = found
    return found


class Overheard:
    """yfinance's own access to Yahoo, which remembers the last answer with events that passes through it."""

    def __init__(self, access: Any) -> None:
        self._access = access
        self._answer: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._access, name)

    def get(self, *arguments: Any, **named: Any) -> Any:
        """An answer from Yahoo."""
        return self._kept(self._access.get(*arguments, **named), (*arguments, *named.values()))

    def cache_get(self, *arguments: Any, **named: Any) -> Any:
        """An answer from Yahoo, or the one to the same request before."""
        return self._kept(self._access.cache_get(*arguments, **named), (*arguments, *named.values()))

    def _kept(self, answer: Any, asked: Iterable[Any]) -> Any:
        if any(isinstance(one, Mapping) and "events" in one for one in asked):
            self._answer = answer
        return answer

    @property
    def came(self) -> bool:
        """Whether Yahoo answered with a chart, whatever is in it."""
        try:
            return bool(self._answer.json()["chart"]["result"])
        except Exception:  # no answer, a page, or JSON in another shape
            return False

    def listed(self, frame: "pd.DataFrame") -> ChartEvents:
        """The events of the answer that became this table; those of the table if no answer was captured."""
        return events_in(self._answer.json()["chart"]["result"][0]) if self._answer is not None else tabled(frame)


def events_in(result: Mapping[str, Any]) -> ChartEvents:
    """The events of a chart. Raises whatever error it meets if that is not a chart."""
    meta, events = result["meta"], result.get("events") or {}
    zone = ZoneInfo(meta["exchangeTimezoneName"])

    def of(name: str) -> Iterable[tuple[date, Mapping[str, Any]]]:
        found = (events.get(name) or {}).values()
        days = ((datetime.fromtimestamp(one["date"], UTC).astimezone(zone).date(), one) for one in found)
        return sorted(days, key=lambda event: event[0])

    return ChartEvents(
        _splits((day, _ratio(day, one)) for day, one in of("splits")),
        _payouts((day, float(one["amount"])) for day, one in of("dividends")),
        _payouts((day, float(one["amount"])) for day, one in of("capitalGains")),
        meta.get("instrumentType") or "",
    )


def _ratio(day: date, split: Mapping[str, Any]) -> float:
    new, old = float(split["numerator"]), float(split["denominator"])
    if not (new > 0 and old > 0):
        raise ValueError(f"a split of {new:g} for {old:g} on {day}")
    return new / old


def tabled(frame: "pd.DataFrame") -> ChartEvents:
    """The events of yfinance's table, by the dates of its rows."""

    def of(name: str) -> list[tuple[date, float]]:
        column = frame[name][frame[name] != 0] if name in frame.columns else {}
        return [(stamp.date(), float(value)) for stamp, value in column.items()]

    gains = _payouts(of("Capital Gains"))
    instrument = "ETF" if "Capital Gains" in frame.columns else ""
    return ChartEvents(_splits(of("Stock Splits")), _payouts(of("Dividends")), gains, instrument, certain=False)


def _splits(events: Iterable[tuple[date, float]]) -> tuple[StockSplit, ...]:
    return tuple(StockSplit(day, ratio) for day, ratio in events if ratio > 0 and ratio != 1)


def _payouts(events: Iterable[tuple[date, float]]) -> tuple[Dividend, ...]:
    return summed(Dividend(day, amount) for day, amount in events if amount != 0)
