"""Tracked CSVs: one row per date, ascending; replaced dates are gone; the fast path equals the slow path."""

import csv
import hashlib
import io
import os
from collections.abc import Collection
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cache import csv_files
from ingest.cache.csv_files import CsvFolder
from ingest.cache.manifest.records import FORMAT, Projection, period_of
from ingest.errors import CacheError
from ingest.files import batches
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY, STOCKS_MINUTE

START = date(2024, 1, 1)
HEADER = b"Date,Open,High,Low,Close,Volume\n"
days = st.integers(0, 15).map(lambda number: (START + timedelta(days=number)).isoformat())
prices = st.sampled_from(["1.0", "2.50", "187.4300", ""])


def _line(day: str, price: str) -> str:
    return f"{day},{price},{price},{price},{price},100"


def merge(base: bytes, new: list[tuple[str, str]], replaced: Collection[str]) -> bytes:
    return csv_files.merge(HEADER, base, new, replaced)


def _csv(rows: dict[str, str]) -> bytes:
    lines = "".join(f"{_line(day, rows[day])}\n" for day in sorted(rows))
    return HEADER + lines.encode() if rows else b""


@given(st.dictionaries(days, prices), st.frozensets(days), st.data())
def test_a_merge_is_the_old_rows_without_the_replaced_dates_and_the_new_rows(
    old: dict[str, str], replaced: frozenset[str], data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(sorted(replaced)), unique=True)) if replaced else []
    new = {day: data.draw(prices) for day in chosen}
    expected = {day: price for day, price in old.items() if day not in replaced} | new
    pairs = [(day, _line(day, price)) for day, price in new.items()]
    assert merge(_csv(old), pairs, replaced) == _csv(expected)


@given(st.dictionaries(days, prices))
def test_a_new_csv_is_the_new_rows(new: dict[str, str]) -> None:
    assert merge(b"", [(day, _line(day, price)) for day, price in new.items()], []) == _csv(new)


@given(st.dictionaries(days, prices), st.dictionaries(days, prices, min_size=1))
def test_appending_later_dates_is_the_same_as_merging_them(old: dict[str, str], new: dict[str, str]) -> None:
    later = {(date.fromisoformat(day) + timedelta(days=30)).isoformat(): price for day, price in new.items()}
    pairs = [(day, _line(day, price)) for day, price in later.items()]
    # A replaced date before all others forces the slow path and removes nothing.
    assert merge(_csv(old), pairs, [*later]) == merge(_csv(old), pairs, [*later, "1999-01-01"])


@given(st.dictionaries(days, prices), st.dictionaries(days, prices), st.dictionaries(days, prices))
def test_the_order_in_which_sessions_arrive_makes_no_difference(
    base: dict[str, str], one: dict[str, str], two: dict[str, str]
) -> None:
    two = {day: price for day, price in two.items() if day not in one}

    def merged(content: bytes, rows: dict[str, str]) -> bytes:
        return merge(content, [(day, _line(day, price)) for day, price in rows.items()], [*rows])

    both = merge(_csv(base), [(day, _line(day, price)) for day, price in (one | two).items()], [*one, *two])
    assert merged(merged(_csv(base), one), two) == merged(merged(_csv(base), two), one) == both


def test_nothing_new_and_nothing_replaced_changes_nothing() -> None:
    base = _csv({"2024-01-02": "1.0"})
    assert merge(base, [], []) is base


def test_an_earlier_row_is_put_in_its_place_though_nothing_is_replaced() -> None:
    later = _csv({"2024-01-03": "1.0"})
    assert merge(later, [("2024-01-02", _line("2024-01-02", "2.50"))], []) == _csv(
        {"2024-01-02": "2.50", "2024-01-03": "1.0"}
    )


def test_a_csv_that_loses_its_last_row_is_empty() -> None:
    assert merge(_csv({"2024-01-02": "1.0"}), [], ["2024-01-02"]) == b""


ROWS = {"2024-01-02": "1.0", "2024-01-03": "2.50"}


def folder(path):
    return CsvFolder(path, STOCKS_DAY)


def write(csvs: CsvFolder, known: Projection, content: bytes) -> Projection:
    with batches.together() as batch:
        return csv_files.write(csvs, known, content, batch)


@pytest.fixture
def written(tmp_path: Path) -> Projection:
    return write(folder(tmp_path), Projection("BACpL"), _csv(ROWS))


def test_a_written_csv_is_known_by_its_span_and_hash(written: Projection, tmp_path: Path) -> None:
    path = tmp_path / "BAC_pL_1d_data.csv"
    assert path.read_bytes() == _csv(ROWS)
    assert (written.first, written.last, written.rows) == ("2024-01-02", "2024-01-03", 2)
    assert written.sha256 == hashlib.sha256(_csv(ROWS)).hexdigest()
    assert (written.dirty, written.active) == (False, True)
    assert list(tmp_path.iterdir()) == [path]


def test_readers_accept_the_csv(written: Projection, tmp_path: Path) -> None:
    text = folder(tmp_path).file("BACpL").read_bytes()
    assert b"\r" not in text
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert [*rows[0]] == ["Date", "Open", "High", "Low", "Close", "Volume"]
    assert [date.fromisoformat(row["Date"]).isoformat() for row in rows] == sorted(ROWS)


def test_a_file_as_it_was_written_is_intact_and_can_be_extended(written: Projection, tmp_path: Path) -> None:
    assert csv_files.looks_intact(folder(tmp_path), written)
    assert csv_files.read_base(folder(tmp_path), written) == _csv(ROWS)


def test_a_file_with_other_columns_is_not_extended(written: Projection, tmp_path: Path) -> None:
    without_volume = tuple(name for name in STOCKS_DAY.required if name != "volume")
    today = CsvFolder(tmp_path, replace(STOCKS_DAY, required=without_volume))
    assert today.header != folder(tmp_path).header
    assert csv_files.read_base(today, written) is None


@pytest.mark.parametrize("change", ["edited", "same size", "touched", "gone"])
def test_a_file_that_somebody_changed_is_noticed(change: str, written: Projection, tmp_path: Path) -> None:
    path = folder(tmp_path).file(written.ticker)
    if change == "edited":
        path.write_bytes(path.read_bytes() + b"2024-01-04,1,1,1,1,1\n")
    elif change == "same size":
        path.write_bytes(path.read_bytes().replace(b"2.50", b"2.51"))
        os.utime(path, ns=(written.mtime_ns or 0, (written.mtime_ns or 0) + 1_000_000_000))
    elif change == "touched":
        os.utime(path, ns=(0, 0))
    else:
        path.unlink()
    assert not csv_files.looks_intact(folder(tmp_path), written)
    assert (csv_files.read_base(folder(tmp_path), written) is not None) is (change == "touched")


def test_a_csv_edited_without_a_change_of_size_and_time_is_not_extended(written: Projection, tmp_path: Path) -> None:
    path = folder(tmp_path).file(written.ticker)
    path.write_bytes(path.read_bytes().replace(b"2.50", b"9.99"))
    os.utime(path, ns=(written.mtime_ns or 0, written.mtime_ns or 0))
    assert csv_files.looks_intact(folder(tmp_path), written)
    assert csv_files.read_base(folder(tmp_path), written) is None


@pytest.mark.parametrize("format", [0, FORMAT])
@pytest.mark.parametrize("header", [HEADER.replace(b",Volume", b""), HEADER.replace(b"\n", b",Turnover\n"), b""])
def test_a_csv_with_another_header_is_not_extended(header: bytes, format: int, tmp_path: Path) -> None:
    other = write(folder(tmp_path), Projection("A"), _csv(ROWS).replace(HEADER, header))
    assert csv_files.looks_intact(folder(tmp_path), other)
    assert csv_files.read_base(folder(tmp_path), replace(other, format=format)) is None


@pytest.mark.parametrize("format", [FORMAT - 2, FORMAT + 1])
def test_a_csv_of_a_format_that_cannot_be_converted_is_not_extended(
    format: int, written: Projection, tmp_path: Path
) -> None:
    assert csv_files.read_base(folder(tmp_path), replace(written, format=FORMAT - 1)) is not None
    assert csv_files.read_base(folder(tmp_path), replace(written, format=format)) is None


def test_a_csv_without_rows_has_no_file(written: Projection, tmp_path: Path) -> None:
    empty = write(folder(tmp_path), written, b"")
    assert list(tmp_path.iterdir()) == []
    assert (empty.rows, empty.sha256, empty.first, empty.last, empty.dirty) == (0, None, None, None, False)
    assert csv_files.looks_intact(folder(tmp_path), empty)
    assert csv_files.read_base(folder(tmp_path), empty) == b""


def test_an_unexpected_file_is_not_mistaken_for_a_csv_of_ours(tmp_path: Path) -> None:
    empty = write(folder(tmp_path), Projection("A"), b"")
    folder(tmp_path).file("A").write_bytes(_csv(ROWS))
    assert not csv_files.looks_intact(folder(tmp_path), empty)
    assert csv_files.read_base(folder(tmp_path), empty) is None


def test_a_ticker_too_long_for_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="too long"):
        folder(tmp_path).file("A" * 300)


def test_a_ticker_cannot_leave_the_folder(tmp_path: Path) -> None:
    assert folder(tmp_path).file("../../etc/passwd").parent == tmp_path


def test_a_folder_in_the_place_of_a_csv_is_an_error_of_the_cache(tmp_path: Path) -> None:
    known = Projection("A", rows=1, sha256="0" * 64)
    folder(tmp_path).file("A").mkdir()
    assert csv_files.read_base(folder(tmp_path), known) is None
    with pytest.raises(CacheError, match=r"cannot replace .*A_1d_data\.csv: Is a directory"):
        write(folder(tmp_path), known, _csv(ROWS))
    assert [path.name for path in tmp_path.iterdir()] == ["A_1d_data.csv"]


def test_a_link_in_the_place_of_a_csv_is_replaced_and_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_bytes(b"mine")
    known = Projection("A", rows=1, sha256=hashlib.sha256(b"mine").hexdigest())
    folder(tmp_path).file("A").symlink_to(mine)
    assert csv_files.read_base(folder(tmp_path), known) is None
    write(folder(tmp_path), known, _csv(ROWS))
    assert (mine.read_bytes(), folder(tmp_path).file("A").read_bytes()) == (b"mine", _csv(ROWS))
    assert not folder(tmp_path).file("A").is_symlink()


def test_a_month_has_a_file_in_the_folder_of_its_ticker(tmp_path: Path) -> None:
    minutes = CsvFolder(tmp_path, STOCKS_MINUTE)
    assert minutes.file("BACpL", "2025-11") == tmp_path / "BAC_pL_1m_data" / "2025-11.csv"
    assert minutes.file("BACpL") == tmp_path / "BAC_pL_1m_data"
    assert period_of(date(2025, 11, 1)) == "2025-11"


@pytest.mark.parametrize(
    ("dataset", "header"),
    [
        ("stocks-day", b"Date,Open,High,Low,Close,Volume\n"),
        ("options-minute", b"Datetime,Open,High,Low,Close,Volume\n"),
        ("indices-day", b"Date,Open,High,Low,Close\n"),
        ("indices-minute", b"Datetime,Open,High,Low,Close\n"),
        ("futures-cme-day", b"Date,Open,High,Low,Close,Volume\n"),
    ],
)
def test_data_without_volume_has_no_volume_column(dataset: str, header: bytes, tmp_path: Path) -> None:
    assert CsvFolder(tmp_path, CATALOGUE[dataset]).header == header


def test_a_month_is_known_by_its_span_and_is_removed_without_rows(tmp_path: Path) -> None:
    minutes = CsvFolder(tmp_path, STOCKS_MINUTE)
    minutes.file("A").mkdir()
    stamps = ["2025-11-02 01:30:00-04:00", "2025-11-02 01:00:00-05:00"]
    content = minutes.header + "".join(f"{stamp},1,1,1,1,1\n" for stamp in stamps).encode()
    written = write(minutes, Projection("A", period="2025-11"), content)
    assert (written.first, written.last, written.rows, written.period) == (*stamps, 2, "2025-11")
    assert csv_files.looks_intact(minutes, written)
    assert list(minutes.present()) == [minutes.file("A", "2025-11")]
    empty = write(minutes, written, b"")
    assert (empty.rows, empty.period, list(minutes.present())) == (0, "2025-11", [])
