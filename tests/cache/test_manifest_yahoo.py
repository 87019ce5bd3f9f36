"""Yahoo's part of a manifest: a question about a ticker costs that ticker's rows, not those of all others."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from steps_kit import steps_of

import ingest
from ingest.cache.commit import for_writing
from ingest.cache.manifest import Manifest
from ingest.cache.manifest.database import Database
from ingest.cache.manifest.file.migrations import MIGRATIONS
from ingest.cache.manifest.yahoo import ActionCoverage, Quotes, Refusal
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.corporate_actions import Actions, Dividend, StockSplit
from ingest.settings import Settings
from ingest.tracked import projection

DAYS = [date(2024, 1, 1) + timedelta(days=n) for n in range(10)]
FEW, MANY = 40, 320
ACTIONS = Actions((StockSplit(DAYS[3], 2.0),), (Dividend(DAYS[5], 0.5, 10.0),))
FUND = Actions((), (Dividend(DAYS[5], 30.0, 20.0, 0.99),), (Dividend(DAYS[5], 4.0, 20.0, 0.99),), "ETF")
AT = "2024-01-10T00:00:00+00:00"


def _tickers(count: int) -> list[str]:
    return [f"T{n:04}" for n in range(count)]


def _filled(root: Path, count: int) -> Path:
    """A cache with Yahoo's answers for this many tickers, all tracked; nothing from Massive is stored."""
    with Manifest.open(root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        manifest.database._db.execute("PRAGMA synchronous = OFF")
        manifest.csvs.follow(_tickers(count))
        for ticker in _tickers(count):
            rows = [(ticker, day, 1.0, 2.0, 0.5, 1.5, 100.0) for day in DAYS]
            manifest.yahoo.keep(ticker, ActionCoverage(DAYS[0], DAYS[-1]), ACTIONS, rows)
    return root


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    return {count: _filled(tmp_path_factory.mktemp("cache"), count) for count in (FEW, MANY)}


def _asked(root: Path, ask: Callable[[Quotes], object]) -> int:
    def action() -> None:
        with Manifest.open(root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
            ask(manifest.yahoo)

    return steps_of(action)


QUESTIONS: dict[str, Callable[[Quotes], object]] = {
    "asked": lambda quotes: quotes.asked(["T0007"]),
    "refusals": lambda quotes: quotes.refusals(["T0007"]),
    "actions": lambda quotes: quotes.actions(["T0007"]),
    "rows": lambda quotes: quotes.rows(["T0007"], DAYS[0], DAYS[-1]),
    "sessions": lambda quotes: quotes.sessions(),
    "keep": lambda quotes: quotes.keep("T0007", ActionCoverage(DAYS[0], DAYS[-1]), ACTIONS, []),
    "refuse": lambda quotes: quotes.refuse("T0007", Refusal(DAYS[1], DAYS[-1], "no")),
    "nothing new": lambda quotes: quotes.nothing_new("T0007", DAYS[-1]),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_one_ticker_costs_the_same_however_many_there_are(caches: dict[int, Path], question: str) -> None:
    few, many = (_asked(caches[count], QUESTIONS[question]) for count in (FEW, MANY))
    assert many < 1.3 * few + 20


def test_a_session_costs_its_own_rows(tmp_path: Path) -> None:
    root = _filled(tmp_path, FEW)
    before = _asked(root, lambda quotes: quotes.rows_of(DAYS[3]))
    with Manifest.open(root / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        rows = [("T0001", DAYS[-1] + timedelta(days=n), 1.0, 2.0, 0.5, 1.5, 100.0) for n in range(1, 2000)]
        manifest.yahoo.keep("T0001", ActionCoverage(DAYS[0], DAYS[-1]), ACTIONS, rows)
    assert _asked(root, lambda quotes: quotes.rows_of(DAYS[3])) < 1.3 * before + 20


def test_all_of_a_ticker_is_found_among_others(caches: dict[int, Path]) -> None:
    with Manifest.read(caches[FEW] / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        quotes = manifest.yahoo
        assert set(quotes.asked(["T0003", "T0001", "NONE"])) == {"T0001", "T0003"}
        assert quotes.actions(["T0003", "NONE"]) == {"T0003": ACTIONS}
        found = quotes.rows(["T0003", "T0001", "T0003"], DAYS[1], DAYS[2])
        assert [row[:2] for row in found] == [(name, day) for name in ("T0001", "T0003") for day in DAYS[1:3]]
        assert quotes.sessions() == DAYS
        assert [row[0] for row in quotes.rows_of(DAYS[4])] == _tickers(FEW)
        assert (quotes.asked([]), quotes.actions([]), quotes.rows([], DAYS[0], DAYS[-1])) == ({}, {}, [])
        assert Quotes(Database(manifest.database._db, manifest.database.path, "other", False)).sessions() == []


def test_names_from_outside_stay_values(tmp_path: Path) -> None:
    """A quote, what JSON escapes, and a number in a ticker's place; one with a NUL is not taken for another."""
    names = ['A"B', "A'B", "A\\B", "A", "1E5", "Ünïcode", "💥", "\u2028"]
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        for name in names:
            manifest.yahoo.keep(name, ActionCoverage(DAYS[0], DAYS[-1]), ACTIONS, [])
        assert set(manifest.yahoo.asked(names)) == set(names)
        assert manifest.yahoo.asked(["A\0B"]) == {}


def test_csvs_with_yahoos_rows_cost_each_ticker_alike(caches: dict[int, Path], tmp_path: Path) -> None:
    def project(count: int) -> int:
        with for_writing(Settings.model_validate({"cache": {"root": caches[count]}}), STOCKS_DAY) as cache:
            now = projection._Pass(cache, frozenset(), (), yahoo=True)
            for ticker in _tickers(count):
                assert len(projection._yahoo_lines(now, ticker)) == len(DAYS)
        return 0

    few, many = (steps_of(lambda count=count: project(count)) for count in (FEW, MANY))
    assert many < 1.3 * few * MANY / FEW


def test_the_history_of_one_ticker_costs_its_own_rows(caches: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def history(count: int) -> None:
        monkeypatch.setenv("INGEST_CACHE__ROOT", str(caches[count]))
        found = ingest.history("T0007", DAYS[0], DAYS[-1], adjust="all", fetch=False)
        assert found.height == len(DAYS)

    few, many = (steps_of(lambda count=count: history(count)) for count in (FEW, MANY))
    assert many < 1.3 * few + 20


def _kept(manifest: Manifest, first: int, last: int, actions: Actions = ACTIONS) -> None:
    manifest.yahoo.keep("A", ActionCoverage(DAYS[first], DAYS[last]), actions, [])


def _known(manifest: Manifest) -> tuple[date, date]:
    asking = manifest.yahoo.asked(["A"])["A"]
    return asking.first, asking.last


@pytest.mark.parametrize(
    ("first", "last", "left"),
    [
        *(
            (0, 9, Actions()),
            (3, 5, Actions()),
            (4, 9, Actions(ACTIONS.splits)),
            (0, 4, Actions((), ACTIONS.dividends)),
        ),
        *((5, 5, Actions(ACTIONS.splits)), (3, 3, Actions((), ACTIONS.dividends)), (4, 4, ACTIONS), (6, 9, ACTIONS)),
    ],
)
def test_events_that_yahoo_took_back_are_gone_within_the_span_asked_for_alone(
    tmp_path: Path, first: int, last: int, left: Actions
) -> None:
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        _kept(manifest, 0, 9)
        manifest.yahoo.keep("B", ActionCoverage(DAYS[0], DAYS[-1]), ACTIONS, [])
        _kept(manifest, first, last, Actions())
        expected = {"B": ACTIONS} | ({"A": left} if left != Actions() else {})
        assert manifest.yahoo.actions(["A", "B"]) == expected


def test_an_action_of_today_that_yahoo_withdrew_is_deleted_before_the_day_is_over(tmp_path: Path) -> None:
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        for actions in (Actions((StockSplit(DAYS[9], 2.0),)), Actions()):
            manifest.yahoo.keep("A", ActionCoverage(DAYS[0], DAYS[8]), actions, [], through=DAYS[9])
        assert manifest.yahoo.actions(["A"]) == {}


def test_an_event_that_yahoo_corrects_has_its_new_value(tmp_path: Path) -> None:
    corrected = Actions((StockSplit(DAYS[3], 3.0),), (Dividend(DAYS[6], 0.25, 11.0),))
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        _kept(manifest, 0, 9)
        _kept(manifest, 0, 9, corrected)
        assert manifest.yahoo.actions(["A"]) == {"A": corrected}


@pytest.mark.parametrize(
    ("before", "then", "known"),
    [
        *(((0, 4), (3, 9), (0, 4)), ((3, 9), (0, 4), (0, 9)), ((0, 4), (4, 9), (0, 4)), ((4, 9), (0, 4), (0, 9))),
        *(((0, 9), (3, 5), (0, 9)), ((3, 5), (0, 9), (0, 9)), ((0, 2), (6, 9), (6, 9)), ((6, 9), (0, 2), (0, 2))),
    ],
)
def test_spans_are_joined_where_they_overlap_and_never_across_a_gap(
    tmp_path: Path, before: tuple[int, int], then: tuple[int, int], known: tuple[int, int]
) -> None:
    """Nobody has asked about the days between: what happened in them is not known.

    Neither does an answer say anything new about earlier days: Yahoo may list an event late.
    """
    with Manifest.open(tmp_path / "manifest.sqlite", STOCKS_DAY.name) as manifest:
        for span in (before, then):
            _kept(manifest, *span, Actions())
        assert _known(manifest) == (DAYS[known[0]], DAYS[known[1]])


def test_actions_that_an_earlier_version_stored_are_asked_for_again(tmp_path: Path) -> None:
    """They may be a day early and are missing capital gains, and nothing shows which ones are wrong."""
    path = tmp_path / "manifest.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            f"PRAGMA journal_mode=WAL; {''.join(MIGRATIONS[:8])} PRAGMA user_version = 8;"
            f"INSERT INTO actions VALUES ('{STOCKS_DAY.name}', 'A', '2024-01-04', 'dividend', 0.5, 10.0);"
            f"INSERT INTO yahoo_rows VALUES ('{STOCKS_DAY.name}', 'A', '2024-01-04', 1, 1, 1, 1, 1, '{AT}');"
            f"INSERT INTO askings VALUES ('{STOCKS_DAY.name}', 'A', 1, '2024-01-01', '2024-01-09', '{AT}', '');"
        )
    with Manifest.open(path, STOCKS_DAY.name) as manifest:
        quotes = manifest.yahoo
        assert (quotes.asked(["A"]), quotes.actions(["A"]), quotes.count()) == ({}, {}, 1)
        quotes.keep("A", ActionCoverage(DAYS[0], DAYS[-1]), FUND, [])
        assert quotes.actions(["A"]) == {"A": FUND}
