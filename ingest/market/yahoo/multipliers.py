"""The multipliers of dividends and gains, compared with what Yahoo's own adjusted close takes out. Pure.

Between two neighbouring bars Yahoo's adjusted close ÷ close changes by the product of the multipliers of the ex-dates
between them, and nowhere else. Its prices are float32 (u = 2⁻²⁴), and its adjusted close is a product of n float32
multipliers, n being the number of later payouts: its ratio to the close is off by at most 2n + 2 roundings, and the
quotient of two neighbouring ratios by those of both. The listed amounts are rounded to six decimals, so a multiplier
computed from one is off by 5e-7 ÷ close, plus the effect of the rounding of that close. The correct ones in the Yahoo
charts that yfinance keeps for its tests stay within that.

If the difference is larger, one of the two is wrong. Yahoo's adjusted close is what Yahoo returns, and yfinance with
it: it is right for a dividend in yen on a price in dollars, and for one listed on another day. So its multiplier is
used if it is valid (in (0, 1]), and stored with the payout.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from ingest.market.adjust import Days, Floats, kept_shares
from ingest.market.corporate_actions import Actions, Dividend
from ingest.market.patterns import some

_UNIT = 2.0**-24
_SIXTH_DECIMAL = 5e-7


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of a chart that have prices, ascending: raw closes, and closes and adjusted closes as Yahoo returns them."""

    days: Days
    raw: Floats
    closes: Floats
    adjusted: Floats


@dataclass(frozen=True, slots=True)
class _Gap:
    """The change of Yahoo's adjusted close between a bar and the next one, and what is paid between them."""

    first_day: date
    share: float
    tolerance: float
    payouts: tuple[Dividend, ...]


def confirmed(bars: Bars, actions: Actions) -> Actions:
    """The actions with Yahoo's own multiplier where it differs, and with odd changes beyond that.

    A change without any payout is odd, with no amount, unless Yahoo's adjusted close goes both ways without payouts.
    """
    gaps = list(_gaps(bars, actions))
    kept: dict[date, float] = {}
    for gap in gaps:
        if gap.payouts and 0 < gap.share <= 1 + gap.tolerance:
            kept |= {payout.ex_date: 1.0 for payout in gap.payouts}
            kept[gap.payouts[0].ex_date] = min(gap.share, 1.0)
    unlisted = [gap for gap in gaps if not gap.payouts]
    both_ways = any(not 0 < gap.share <= 1 for gap in unlisted)
    odd = [gap for gap in gaps if (both_ways and not gap.payouts) or not 0 < gap.share <= 1 + gap.tolerance]
    found = () if both_ways else tuple(Dividend(gap.first_day, 0.0, kept=gap.share) for gap in unlisted)
    unfollowed = (Dividend(gap.first_day, sum(one.amount for one in gap.payouts), kept=gap.share) for gap in odd)
    return replace(_with(actions, kept, found), odd=tuple(unfollowed))


def _gaps(bars: Bars, actions: Actions) -> Iterator[_Gap]:
    """Where the two differ by more than their noise, between neighbouring bars with an adjusted close."""
    told = np.isfinite(bars.adjusted) & (bars.adjusted != 0)
    days, closes, count = bars.days[told], bars.closes[told], int(told.sum())
    ratios = np.append(bars.adjusted[told] / closes, 1.0)
    steps = ratios[:-1] / ratios[1:]
    expected, noise = np.ones(count), np.zeros(count)
    paid: dict[int, list[Dividend]] = {}
    for payout, share in kept_shares(days, bars.raw[told], actions):
        at = int(np.searchsorted(days, np.datetime64(payout.ex_date, "D"))) - 1
        expected[at] *= share
        noise[at] += 2 * _SIXTH_DECIMAL / closes[at] + 4 * _UNIT * abs(1 - share)
        paid.setdefault(at, []).append(payout)
    later = np.append(np.cumsum([len(paid.get(at, ())) for at in range(count)][::-1])[::-1], 0)
    tolerance = (2 * later[:-1] + 2 * later[1:] + 4) * _UNIT * np.maximum(1, np.abs(expected)) + noise
    for at in np.flatnonzero(np.abs(steps - expected) > tolerance).tolist():
        payouts = tuple(paid.get(at, ()))
        after = days[at + 1].item() if at + 1 < count else days[at].item() + timedelta(days=1)
        yield _Gap(payouts[0].ex_date if payouts else after, float(steps[at]), float(tolerance[at]), payouts)


def _with(actions: Actions, kept: dict[date, float], unlisted: tuple[Dividend, ...]) -> Actions:
    def all_of(payouts: tuple[Dividend, ...]) -> tuple[Dividend, ...]:
        return tuple(replace(one, kept=kept.get(one.ex_date, one.kept)) for one in payouts)

    dividends = sorted((*all_of(actions.dividends), *unlisted), key=lambda one: one.ex_date)
    return replace(actions, dividends=tuple(dividends), gains=all_of(actions.gains))


def likewise(days: Iterable[date]) -> str:
    """In words, further dates to append to a sentence about the first one; empty if there are none."""
    further = some([day.isoformat() for day in days])
    return f"; likewise on {further}" if further else ""


def unfollowed(odd: Sequence[Dividend]) -> str:
    """In words, the changes of Yahoo's adjusted close that no payout explains; empty if there are none."""
    if not odd:
        return ""
    first, *others = odd
    lists = f"{first.amount:g} that it lists as paid" if first.amount else "nothing that it lists"
    further = likewise(one.ex_date for one in others)
    return f"Yahoo's adjusted close keeps {first.kept:.6g} of the value on {first.ex_date}, for {lists}{further}"
