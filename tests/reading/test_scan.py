"""A lazy scan compared with the same rows in memory: every query returns the same from both."""

import pickle
import random
from datetime import date, timedelta

import polars as pl
import pytest
from minutes_kit import at, minutes_text
from pipeline_kit import Place, flat, trading_days, write_keys
from tuning_kit import tune

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE
from ingest.reading import history
from ingest.reading import rows as reading
from ingest.settings import Settings

DAYS = trading_days(date(2025, 3, 3), 7)
TICKERS = ["A", "AAPL", "NA", "NULL", "TpC", "ZZ"]
SOME = {STOCKS_DAY.short: 20, STOCKS_MINUTE.short: 12}


def _day_text(day):
    chance = random.Random(str(day))
    return flat([(ticker, chance.randint(5, 25)) for ticker in TICKERS if chance.random() < 0.8])


def _minutes_of(day):
    chance = random.Random(str(day))
    bar = (1.5, 2.0, 1.0, 1.75)
    return {
        ticker: {at(day, 9, 30) + timedelta(minutes=n): (*bar, float(chance.randint(1, 9))) for n in range(4)}
        for ticker in TICKERS
        if chance.random() < 0.8
    }


TEXTS = {STOCKS_DAY: _day_text, STOCKS_MINUTE: lambda day: minutes_text(_minutes_of(day))}


@pytest.fixture(scope="module", params=[STOCKS_DAY, STOCKS_MINUTE], ids=lambda one: one.short)
def scanned(request, tmp_path_factory):
    """A dataset, its settings, and all rows of a scan."""
    dataset, home = request.param, tmp_path_factory.mktemp("scanned")
    write_keys(home / "credentials")
    objects = {dataset.key(day): pack(TEXTS[dataset](day)) for day in DAYS}
    with pytest.MonkeyPatch.context() as patch, loopback.serve(objects) as server:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        tune(patch, scanned_sessions=3)
        place = Place(home / "cache", server.endpoint_url, dataset=dataset)
        place.run(DAYS[0], DAYS[-1], tracked={"AAPL", "ZZ"})
        yield dataset, place.settings(), history.scan(place.settings(), dataset, None, None).collect()


# Steps of a query: each takes a frame, lazy or in memory, and all rows of its kind


def _head(chance, _):
    count = chance.randint(0, 12)
    return lambda frame, rows: frame.head(count)


def _tail(chance, _):
    count = chance.randint(1, 12)
    return lambda frame, rows: frame.tail(count)


def _slice(chance, _):
    offset, length = chance.randint(-15, 15), chance.choice([None, 1, 5, 9])
    return lambda frame, rows: frame.slice(offset, length)


def _filter(chance, columns):
    predicates = [_predicate(chance, columns) for _ in range(chance.randint(1, 2))]
    return lambda frame, rows: frame.filter(*predicates)


def _predicate(chance, columns):
    column, number = pl.col(chance.choice(columns)), chance.randint(4, 20)
    fitting = [column.is_not_null(), column.is_first_distinct(), column == column.max()]
    if "ticker" in columns:
        ticker, names = pl.col("ticker"), chance.sample(TICKERS, 2)
        fitting += 2 * [ticker == names[0], ticker.is_in(names), ticker.is_in(names) | (column == column.min())]
    if "date" in columns:
        fitting += 2 * [pl.col("date") >= chance.choice(DAYS), ~(pl.col("date") == chance.choice(DAYS))]
    if "volume" in columns:
        fitting += [pl.col("volume") > number / 4, pl.col("volume").cum_sum() < number]
    return chance.choice(fitting)


def _select(chance, columns):
    kept = [name for name in columns if name in ("ticker", "date") or chance.random() < 0.6]
    return lambda frame, rows: frame.select(kept)


def _with_columns(chance, columns):
    column = pl.col(chance.choice(columns))
    added = chance.choice([column.shift(1), column.is_duplicated(), pl.lit(1), pl.len()])
    return lambda frame, rows: frame.with_columns(added.alias("added"))


def _sort(chance, columns):
    by, down = chance.sample(columns, min(2, len(columns))), chance.random() < 0.5
    return lambda frame, rows: frame.sort(by, descending=down, maintain_order=True)


def _group_by(chance, columns):
    by = chance.choice([name for name in columns if name in ("ticker", "date")])
    totals = [pl.col(name).first() for name in columns if name not in (by, "rows")] + [pl.len().alias("rows")]
    return lambda frame, rows: frame.group_by(by, maintain_order=True).agg(totals)


def _unique(chance, columns):
    subset = chance.sample(columns, 1)
    return lambda frame, rows: frame.unique(subset, keep="first", maintain_order=True)


def _join(chance, _):
    count, how = chance.randint(1, 20), chance.choice(["semi", "anti"])
    named = chance.choice([pl.col("ticker") != "A", pl.col("ticker").is_in(TICKERS[:3])])
    return lambda frame, rows: frame.join(
        rows.head(count).filter(named).select("ticker"), on="ticker", how=how, maintain_order="left"
    )


def _row_index(chance, _):
    return lambda frame, rows: frame.drop("index", strict=False).with_row_index()


STEPS = [_head, _tail, _slice, _filter, _filter, _select, _with_columns, _sort, _group_by, _unique, _join, _row_index]


def _chain(chance, whole):
    """Some steps, and their result on the rows in memory."""
    steps, frame = [], whole
    for _ in range(chance.randint(1, 5)):
        step = chance.choice(STEPS)(chance, frame.columns)
        steps.append(step)
        frame = step(frame, whole)
    return steps, frame


def _same_as_in_memory(scanned, seed):
    dataset, settings, whole = scanned
    chance = random.Random(f"{dataset.short} {seed}")
    steps, expected = _chain(chance, whole)
    rows = history.scan(settings, dataset, None, None)
    lazy = rows
    for step in steps:
        lazy = step(lazy, rows)
    found = lazy.collect(engine=chance.choice(["in-memory", "streaming"]))
    assert found.equals(expected), f"seed {seed}: {lazy.explain()}"


def test_chains_of_steps_give_what_they_give_in_memory(scanned):
    for seed in range(SOME[scanned[0].short]):
        _same_as_in_memory(scanned, seed)


@pytest.mark.long
def test_a_thousand_chains_of_steps_give_what_they_give_in_memory(scanned):
    for seed in range(1200):
        _same_as_in_memory(scanned, seed)


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@pytest.mark.parametrize("count", [1, 5, 16, 1000])
def test_rows_are_counted_before_they_are_filtered(scanned, count, engine):
    dataset, settings, whole = scanned
    for wanted in (pl.col("ticker") == "NA", pl.col("date") == DAYS[1], pl.col("volume") > 1):
        lazy = history.scan(settings, dataset, None, None).head(count).filter(wanted)
        assert lazy.collect(engine=engine).equals(whole.head(count).filter(wanted))


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_rows_are_filtered_by_functions_of_python(scanned, engine):
    dataset, settings, whole = scanned
    odd = pl.col("date").map_elements(lambda day: day.toordinal() % 2 == 1, return_dtype=pl.Boolean)
    named = pl.col("ticker").map_batches(
        lambda names: names.str.starts_with("N"), return_dtype=pl.Boolean, is_elementwise=True
    )
    for wanted in (odd, named, odd & (pl.col("ticker") == "NA"), named | odd):
        lazy = history.scan(settings, dataset, None, None)
        assert lazy.filter(wanted).collect(engine=engine).equals(whole.filter(wanted))
        assert lazy.head(5).filter(wanted).collect(engine=engine).equals(whole.head(5).filter(wanted))


def test_a_scan_that_was_pickled_scans_the_same(scanned):
    dataset, settings, whole = scanned
    wanted = pl.col("ticker").is_in(["NA", "ZZ"])
    lazy = pickle.loads(pickle.dumps(history.scan(settings, dataset, None, None).filter(wanted)))
    assert lazy.collect().equals(whole.filter(wanted))


def test_the_first_rows_cost_no_more_sessions_than_they_fill(scanned, monkeypatch):
    dataset, settings, _ = scanned
    read, original = [], reading.on
    monkeypatch.setattr(reading, "on", lambda cache, days, *rest: read.extend(days) or original(cache, days, *rest))
    history.scan(settings, dataset, None, None).head(2).filter(pl.col("ticker") == "NA").collect()
    assert read == DAYS[:1]


def test_of_many_tickers_fewer_sessions_are_read_at_once(scanned, monkeypatch):
    dataset, settings, whole = scanned
    tune(monkeypatch, scanned_rows=4 * dataset.kind.rows_a_day)
    read, original = [], reading.on
    monkeypatch.setattr(reading, "on", lambda cache, days, *_: read.append(len(days)) or original(cache, days, *_))
    for count, groups in {1: [3, 3, 1], 2: [2, 2, 2, 1], 4: [1] * 7, 6: [1] * 7}.items():
        wanted = pl.col("ticker").is_in(TICKERS[:count])
        lazy = history.scan(Settings(**settings.model_dump()), dataset, None, None)
        assert lazy.filter(wanted).collect().equals(whole.filter(wanted))
        assert read == groups
        read.clear()
