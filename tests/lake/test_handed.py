"""A run writes the lake from rows that it has just split, month by month: the same files as from the parts."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from lake_kit import DAYS
from pipeline_kit import Place, flat, key, pack, trading_days, window
from polars.testing import assert_frame_equal
from splitting_kit import DAY
from texts_kit import TRACKED, days

from ingest.cache.layout import PartsOf
from ingest.cache.parts import handed
from ingest.cache.parts.bars import dated, firsts, rows_of
from ingest.errors import CacheError, UnreadableFile
from ingest.events import Committed, LakeWritten
from ingest.lake import frames, update, writing
from ingest.lake.state import build_lake, drop_lake
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.splitting.result import SplitSpec
from ingest.splitting.whole import split

PLAIN = b"ticker,volume,open,close,high,low,window_start,transactions\nA,1,2,2.5,3,1.5,1700000000000000000,4\n"


def as_numbers(text, dataset, keep_rest=True):
    """The split of a text, with its rows as numbers."""
    return split(text, SplitSpec(TRACKED, keep_rest, dataset, DAY, every=True))


def from_parts(result, dataset):
    """All rows of the parts, as a reader gets them."""
    parts = PartsOf(DAY, TRACKED, result.cut, result.header.columns, {})
    begin = len(result.header.line)
    return firsts(pl.concat([rows_of(part.text[begin:], parts, dataset) for part in result.texts.values()]), dataset)


@pytest.mark.parametrize("name", ["stocks-day", "futures-cme-day"])
@given(text=days(), keep_rest=st.booleans())
def test_numbers_of_a_split_are_those_of_its_parts(name, text, keep_rest):
    dataset = CATALOGUE[name]
    if name.startswith("futures"):
        text = text.replace(b"window_start", b"session_end_date").replace(b"1700000000000000000", b"2023-11-14")
    try:
        result = as_numbers(text, dataset, keep_rest)
    except UnreadableFile:
        assume(False)
    if result.numbers is not None:
        found = firsts(dated([(DAY, result.numbers)], dataset), dataset)
        assert_frame_equal(found, from_parts(result, dataset))


def test_a_plain_text_has_all_its_numbers():
    assert as_numbers(PLAIN, STOCKS_DAY).numbers.rows() == [("A", 2.0, 3.0, 1.5, 2.5, 1.0, 4)]


@pytest.mark.parametrize("odd", [b"4.5", b"x", b'"4\n"'])
def test_an_oddly_written_count_leaves_the_rows_to_the_parts(odd):
    assert as_numbers(PLAIN.replace(b",4\n", b"," + odd + b"\n"), STOCKS_DAY).numbers is None


def files(place):
    folder = place.root / "lake" / place.dataset.short
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def rebuilt(place):
    """The lake, built from the parts alone."""
    drop_lake(place.settings(), place.dataset)
    build_lake(place.settings(), place.dataset)
    return files(place)


@pytest.fixture
def unread(monkeypatch):
    """No part may be read for the lake."""

    def refuse(*_):
        raise AssertionError("a part was read")

    monkeypatch.setattr(frames, "read_rows", refuse)
    monkeypatch.setattr(frames, "read_members", refuse)
    return monkeypatch


@pytest.mark.parametrize("settings", [{}, {"save_others": False}], ids=["all", "tracked alone"])
def test_a_run_reads_no_part_for_whole_months_and_writes_the_same_files(settings, server, tmp_path, unread):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    ran = place.run(*window(DAYS), **settings)
    unread.undo()
    assert ran.finished.lake_files == 2
    assert files(place) == rebuilt(place)


def test_a_month_is_written_when_its_last_session_has_ended(server, tmp_path, monkeypatch):
    place, told = Place(tmp_path / "cache", server.endpoint_url, lake=True), []
    written = update._written
    monkeypatch.setattr(
        update, "_written", lambda *given: told.append([one.name for one in given[2]]) or written(*given)
    )
    ran = place.run(*window(DAYS), sink=lambda event: told.append(event) if isinstance(event, Committed) else None)
    months = [("2025-02", DAYS[1]), ("2025-03", DAYS[3])]
    for month, last in months:
        ended = [one.session for one in told[: told.index([month])] if isinstance(one, Committed)]
        assert last in ended
    (done,) = ran.of(LakeWritten)
    assert (done.files, done.rows) == (2, pl.scan_parquet(place.root / "lake" / "**" / "*.parquet").collect().height)


def test_sessions_that_are_stored_already_come_from_the_parts(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(DAYS[0], DAYS[0])
    place.run(*window(DAYS))
    server.objects[key(DAYS[2])] = pack(flat([("AAPL", 2.0), ("IBM", 3.0)]))
    ran = place.run(*window(DAYS), accept=True, refresh=True)
    assert [one.session for one in ran.of(Committed) if one.corrected] == [DAYS[2]]
    assert files(place) == rebuilt(place)


def test_a_month_has_files_with_a_column_and_files_without_it(server, tmp_path):
    header, *lines = flat([("AAPL", 2.0), ("IBM", 3.0)]).decode().splitlines()
    text = "\n".join(line.rpartition(",")[0] for line in (header, *lines)) + "\n"
    server.objects[key(DAYS[0])] = server.objects[key(DAYS[3])] = pack(text.encode())
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    assert place.run(*window(DAYS)).finished.lake_files == 2
    assert files(place) == rebuilt(place)


def test_what_cannot_be_written_on_the_way_is_written_at_the_end(server, tmp_path, monkeypatch):
    place, failures, write = (
        Place(tmp_path / "cache", server.endpoint_url, lake=True),
        [CacheError("no room")],
        writing.write,
    )

    def fails_once(*given):
        if failures:
            raise failures.pop()
        return write(*given)

    monkeypatch.setattr(writing, "write", fails_once)
    ran = place.run(*window(DAYS))
    assert (ran.finished.exit_code, ran.finished.lake_files, failures) == (0, 2, [])
    assert files(place) == rebuilt(place)


def test_rows_for_which_there_is_no_room_come_from_the_parts(server, tmp_path, monkeypatch):
    monkeypatch.setattr(handed, "_MOST", 1)
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    place.run(*window(DAYS))
    assert files(place) == rebuilt(place)


def test_room_is_given_back():
    rows, kept = pl.DataFrame({"ticker": ["A"] * 1000, "close": np.ones(1000)}), handed.HandedRows(STOCKS_DAY)
    days_ = trading_days(date(2025, 3, 3), 3)
    for _ in range(3):
        for day in days_:
            kept.keep(day, {"tracked": "1"}, rows)
            kept.keep(day, {"tracked": "2"}, rows)
        kept.forget([*days_, DAY])
        assert kept._size == 0


def test_other_parts_than_those_of_the_rows_are_not_known():
    kept = handed.HandedRows(STOCKS_DAY)
    kept.keep(DAY, {"tracked": "1"}, pl.DataFrame({"ticker": ["A"]}))
    parts = PartsOf(DAY, frozenset(), "lines", (), {}, {"tracked": "1"})
    assert kept.knows(parts)
    assert not kept.knows(PartsOf(DAY, frozenset(), "lines", (), {}, {"tracked": "2"}))
    assert not kept.knows(PartsOf(DAYS[0], frozenset(), "lines", (), {}, {"tracked": "1"}))


def test_a_folder_in_place_of_a_file_is_moved_aside_and_named_once(server, tmp_path):
    place = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    blocked = place.root / "lake" / "stocks-day" / "year=2025" / "month=2" / "part-0.parquet"
    blocked.mkdir(parents=True)
    (blocked / "mine.txt").write_text("mine")
    ran = place.run(*window(DAYS))
    (done,) = ran.of(LakeWritten)
    assert (ran.finished.exit_code, done.files) == (0, 2)
    assert "part-0.parquet" in done.notice
    assert "; " not in done.notice
    assert blocked.is_file()
    assert len(list((place.root / "lake").glob("*.damaged-*/mine.txt"))) == 1
