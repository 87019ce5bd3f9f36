"""One market for tests of reading, as Massive publishes it on loopback and as Yahoo shows it."""

from contextlib import contextmanager

import pandas as pd
from pipeline_kit import SAME, Place
from yahoo_kit import Security, forget_yahoo, yahoo

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.market.catalogue import STOCKS_DAY


def text_of(securities, day, dataset=STOCKS_DAY):
    """A day's file: the bars of all securities that have one, sorted by ticker."""
    known = ("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions")
    names = [name for name in known if name in (*dataset.required, *dataset.optional)]
    rows = {ticker: one.bars[day] for ticker, one in securities.items() if day in one.bars}
    lines = []
    for ticker, (opened, high, low, close, volume) in sorted(rows.items()):
        row = dict(zip(known, (ticker, f"{volume:.10g}", opened, close, high, low, 1, 7), strict=True))
        lines.append(",".join(str(row[name]) for name in names))
    return "\n".join([",".join(names), *lines, ""]).encode()


def objects_of(securities, days, dataset=STOCKS_DAY):
    return {dataset.key(day): pack(text_of(securities, day, dataset)) for day in days}


_OBJECTS = {}
"""Generated files, by the identity of their securities, which live as long as their module."""


def _published(securities, days, dataset):
    name = (tuple(map(id, securities.values())), tuple(days), dataset.name)
    if name not in _OBJECTS:
        _OBJECTS[name] = (securities, objects_of(securities, days, dataset))
    return dict(_OBJECTS[name][1])


def walk(days, first=100.0, volume=10_000, splits=None, step=0.37):
    """Bars with distinct prices, which move by cents and jump at each split."""
    splits, bars, level = splits or {}, {}, first
    for n, day in enumerate(days):
        new, old = splits.get(day, (1, 1))
        level = round(level * old / new + step * ((n * 7) % 5 - 2), 2)
        opened, closed = level, round(level * 1.01, 2)
        bars[day] = (opened, round(closed + 0.5, 2), round(opened - 0.5, 2), closed, float(volume + 100 * n))
    return bars


def security(days, splits=None, dividends=None, **named):
    return Security(walk(days, splits=splits, **named), splits or {}, dividends or {})


def same(mine, theirs):
    """Frames are equal, except for Yahoo's float32 in the prices."""
    assert list(mine.columns) == list(theirs.columns)
    assert mine.dtypes.tolist() == theirs.dtypes.tolist()
    assert (mine.index.name, mine.index.dtype) == (theirs.index.name, theirs.index.dtype)
    pd.testing.assert_index_equal(mine.index, theirs.index)
    pd.testing.assert_frame_equal(mine, theirs, check_exact=False, rtol=3e-7, atol=1e-6)


class World:
    """A cache, Massive's files, and Yahoo's securities by symbol."""

    def __init__(self, place, server, yahoo_server):
        self.place, self.server, self.yahoo = place, server, yahoo_server

    def config(self, lists=(), **fallback):
        """A config.toml for the Python functions; `fallback` are settings of that section."""
        lines = [
            *(
                "[source]",
                f'endpoint_url = "{self.place.endpoint_url}"',
                f'same_as = "{SAME}"',
                "attempts = 2",
                "down_after_s = 5",
            ),
            *("[cache]", f'root = "{self.place.root}"'),
            *("[tracked]", f"tickers = {list(lists)!r}".replace("'", '"'), "lists = []", "[fallback]"),
            *(f"{name} = {str(value).lower()}" for name, value in fallback.items()),
        ]
        path = self.place.root.parent / "config.toml"
        path.write_text("\n".join(lines) + "\n")
        return path


@contextmanager
def world(monkeypatch, tmp_path, massive, at_yahoo, days, dataset=STOCKS_DAY):
    """Massive publishes the `days` of its securities, by its own tickers; Yahoo has the securities of `at_yahoo`."""
    forget_yahoo(tmp_path)
    with loopback.serve(_published(massive, days, dataset)) as server, yahoo(monkeypatch, at_yahoo) as other:
        yield World(Place(tmp_path / "cache", server.endpoint_url, dataset=dataset), server, other)
