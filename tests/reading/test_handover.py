"""Tickers that pass from one company to another without a gap, and those that only look like it."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_kit import walk, world
from yahoo_kit import Security, fresh_yfinance, past_sessions

import ingest
from ingest.cache.manifest.records import Coverage
from ingest.errors import AcrossSeam, IngestWarning
from ingest.market.corporate_actions import Actions, Dividend, StockSplit
from ingest.reading.adjusting.handover import signs

__all__ = ["fresh_yfinance"]

FIRST = date(2024, 1, 1)
NEVER = Coverage(frozenset(), {})


def day(number):
    return FIRST + timedelta(days=number)


def rows(closes, skipped=()):
    days = [day(n) for n in range(len(closes) + len(skipped)) if n not in skipped]
    return pl.DataFrame({"ticker": "RNA", "date": days, "close": closes})


def found(held, begins=None, actions=Actions(), coverage=NEVER):  # noqa: B008
    return [(one.before, one.after, one.is_sure) for one in signs(held, coverage, {"RNA": actions}, {"RNA": begins})]


@pytest.mark.parametrize(
    ("earlier", "price", "sure"), [(6, 10.0, True), (5, 10.0, False), (1, 10.0, False), (1, 15.1, True), (1, 6.6, True)]
)
def test_a_history_at_yahoo_that_begins_later_is_a_sign(earlier, price, sure):
    held = rows([10.0] * earlier + [price] * 20)
    assert found(held, day(earlier)) == [(day(earlier - 1), day(earlier), sure)]
    assert found(held, day(0)) == found(held) == found(held, day(-9)) == []


def test_rows_that_all_lie_before_the_history_at_yahoo_are_anothers():
    assert found(rows([10.0] * 9), day(40)) == [(day(8), day(40), True)]


@pytest.mark.parametrize(
    ("times", "sign"),
    [(0.3, None), (0.26, None), (3.9, None), (0.2, False), (0.06, False), (15.0, False), (0.04, True), (30.0, True)],
)
def test_a_jump_without_a_split_is_said_and_from_twentyfold_on_believed(times, sign):
    held = rows([10.0, 10.0, 10.0 * times, 10.0 * times])
    assert found(held) == ([] if sign is None else [(day(1), day(2), sign)])


@pytest.mark.parametrize(("missed", "sure"), [(4, False), (5, True)])
def test_a_jump_after_a_week_without_rows_is_believed(missed, sure):
    held = rows([10.0, 50.0], skipped=range(1, missed + 1))
    coverage = Coverage(frozenset(map(day, range(missed + 2))), {})
    assert found(held, coverage=coverage) == [(day(0), day(missed + 1), sure)]


@pytest.mark.parametrize(
    "actions",
    [
        Actions((StockSplit(day(2), 0.02),)),
        Actions((StockSplit(day(5), 0.02),)),  # traded at its ratio before its date
        Actions((StockSplit(day(2), 0.2), StockSplit(day(3), 0.1))),
    ],
)
def test_a_jump_that_a_split_explains_is_none(actions):
    assert found(rows([10.0, 10.0, 500.0, 500.0]), actions=actions) == []


def test_a_jump_that_a_payout_explains_is_none():
    assert found(rows([10.0, 10.0, 1.0]), actions=Actions((), (Dividend(day(2), 9.0, 10.0),))) == []


@pytest.mark.parametrize("close", [0.0, -1.0, float("nan")])
def test_closes_that_are_no_prices_are_no_jump(close):
    assert found(rows([10.0, close, 10.0])) == []


@st.composite
def histories(draw):
    """Closes of a single company: fat-tailed days, and crashes and rises as large as any that happened."""
    seed = draw(st.integers(0, 2**32 - 1))
    count = draw(st.integers(2, 300))
    steps = np.random.default_rng(seed).standard_t(3, count) * draw(st.sampled_from([0.01, 0.03, 0.08]))
    for at in draw(st.lists(st.integers(0, count - 1), max_size=2, unique=True)):
        steps[at] = np.log(draw(st.floats(1 / 17.4, 15)))
    return rows(list(10 * np.exp(np.cumsum(np.clip(steps, np.log(1 / 17.4), np.log(15))))))


@settings(max_examples=40, deadline=None)
@given(histories())
def test_no_ordinary_history_is_refused(held):
    assert [one for one in found(held, held["date"][0]) if one[-1]] == []


DAYS = past_sessions(60)
OLD, NEW = walk(DAYS[:30], first=70.0), walk(DAYS[30:], first=13.0, splits={DAYS[50]: (2, 1)})
RNA = Security(OLD | NEW)
SPINCO = Security(NEW, {DAYS[50]: (2, 1)})
SPLICED = Security(OLD | NEW, {DAYS[50]: (2, 1)})


@pytest.fixture
def here(monkeypatch, tmp_path, fresh_yfinance, loopback_keys):
    with world(monkeypatch, tmp_path, {"RNA": RNA}, {"RNA": SPINCO}, DAYS) as found:
        found.place.run(DAYS[0], DAYS[-1], tracked={"RNA"})
        yield found


def test_a_company_is_not_adjusted_for_what_its_successor_did(here):
    config = here.config(["RNA"])
    ask = {
        "history": lambda **how: ingest.history("RNA", adjust="splits", config=config, **how)["close"].to_list(),
        "smart": lambda start=DAYS[0], **how: ingest.get_smart_data(
            "RNA", data_source="massive", start=start, config=config, **how
        )["Close"].tolist(),
    }
    new = [NEW[one][3] / SPINCO.later_splits(one) for one in DAYS[30:]]
    for question in ask.values():
        for _ in range(2):  # asked now, and known since
            with pytest.raises(AcrossSeam, match=f"only since {DAYS[30]}, .* up to {DAYS[29]}, .*from {DAYS[30]} on"):
                question()
        assert question(start=DAYS[30]) == pytest.approx(new)
        assert question(across_seams=True)[0] == pytest.approx(OLD[DAYS[0]][3] / 2)
    with pytest.raises(AcrossSeam):
        ingest.history("RNA", end=DAYS[20], adjust="splits", config=config)
    with pytest.warns(IngestWarning, match=f"left out: Yahoo has RNA only since {DAYS[30]}"):
        assert ingest.history("RNA", adjust="splits", errors="skip", config=config).is_empty()


def test_a_jump_that_may_be_a_crash_is_said_where_it_is_adjusted_across(here):
    here.yahoo.securities["RNA"] = SPLICED
    config = here.config(["RNA"])
    with pytest.warns(IngestWarning, match=f"on {DAYS[29]} to .* on {DAYS[30]} .* which no split explains"):
        assert ingest.history("RNA", adjust="splits", config=config).height == 60
    assert ingest.history("RNA", DAYS[30], adjust="splits", config=config).height == 30
    assert ingest.history("RNA", adjust="splits", across_seams=True, config=config).height == 60


@pytest.mark.parametrize("narrow", [False, True])
def test_a_company_that_was_known_before_its_ticker_passed_to_another_is_not_adjusted_for_it(here, narrow):
    """Yahoo shows the old one, rows and all, until the new one has the ticker."""
    config = here.config(["RNA"])
    here.yahoo.securities["RNA"] = Security(OLD)
    ingest.history("RNA", end=DAYS[29], adjust="splits", config=config)
    here.place.execute(f"UPDATE askings SET last = '{DAYS[29]}', asked_at = '{DAYS[29]}T22:30:00+00:00'")
    here.yahoo.securities["RNA"] = SPINCO
    if narrow:
        ingest.history("RNA", DAYS[40], adjust="splits", config=config)
    for _ in range(2):
        with pytest.raises(AcrossSeam, match=f"only since {DAYS[30]}"):
            ingest.history("RNA", adjust="splits", config=config)


def test_weeks_that_yahoo_misses_where_a_question_begins_are_no_handover(
    monkeypatch, tmp_path, fresh_yfinance, loopback_keys
):
    days = past_sessions(80)
    whole = Security(walk(days, splits={days[70]: (2, 1)}), {days[70]: (2, 1)})
    holed = Security({day: bar for day, bar in whole.bars.items() if not days[20] <= day < days[45]}, whole.splits)
    with world(monkeypatch, tmp_path, {"ABC": whole}, {"ABC": holed}, days) as here:
        here.place.run(days[0], days[-1], tracked={"ABC"})
        for start in (days[35], days[0], days[35]):
            found = ingest.history("ABC", start, adjust="splits", config=here.config())
            assert found["close"][0] == pytest.approx(whole.bars[start][3] / 2)
