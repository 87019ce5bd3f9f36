"""Lines of CSVs from the parts of sessions: prices to the letter, the date from the key, no row lost."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from parts_kit import put
from pipeline_kit import pointed
from splitting_kit import parted

from ingest.cache.cache import Layout
from ingest.cache.layout import MemberIndex, PartKey, PartsOf
from ingest.cache.parts import parts
from ingest.cache.parts.lines import BATCH_BYTES
from ingest.errors import CacheError, UnreadableFile
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.market.datasets import Tier
from ingest.settings import Settings
from ingest.tracked import csv_lines

NAMES = (*STOCKS_DAY.required, *STOCKS_DAY.optional)
DAY = date(2024, 1, 2)
HOSTILE = ("NA", "NAN", "TRUE", "INF", "1E5", "#A", "null", "BCpC", "BCPC")


class Cache:
    """Two folders of parts, filled as a run fills them."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout.of(Settings.model_validate({"cache": {"root": root}}), STOCKS_DAY)
        self.layout.parts.create()
        self.sessions: list[PartsOf] = []

    def add(
        self, text: bytes, tracked: Iterable[str] = (), day: date | None = None, keep_rest: bool = True, block: int = 64
    ) -> None:
        session = day or DAY + timedelta(days=len(self.sessions))
        cut = parted(text, frozenset(tracked), keep_rest)
        index: dict[Tier, MemberIndex] = {}
        both: list[tuple[Tier, object]] = [("tracked", cut.tracked), ("archive", cut.archive)]
        for tier, part in both:
            if part is not None:
                packed = parts.pack_part(part, block)  # type: ignore[arg-type]
                put(self.layout.parts, packed.data, PartKey(session, tier))
                index[tier] = packed.index
        self.sessions.append(PartsOf(session, frozenset(tracked), cut.cut, cut.header.columns, index))

    def extract(self, *wanted: str, batch_bytes: int = BATCH_BYTES) -> list[tuple[str, str, str]]:
        return csv_lines.extract(self.layout, self.sessions, frozenset(wanted), batch_bytes).rows()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def _file(*lines: dict[str, str], columns: Iterable[str] = NAMES, end: str = "\n") -> bytes:
    """A file of these rows; any other column has a value of its own."""
    columns = tuple(columns)
    usual = {"ticker": "A", "volume": "100", "open": "1.10", "close": "2.20", "high": "3.30", "low": "0.40"}
    filled = [
        [{**usual, "window_start": "17", "transactions": "5", **line}.get(name, "") for name in columns]
        for line in lines
    ]
    return "".join(",".join(fields) + end for fields in [columns, *filled]).encode()


def _tickers(*names: str) -> bytes:
    return _file(*({"ticker": name} for name in names))


@pytest.mark.parametrize(
    ("published", "written"),
    [
        ("1200", "1200.0"),
        ("1200.0", "1200.0"),
        ("1200.000000", "1200.0"),
        ("1200.", "1200.0"),
        ("1.2e3", "1200.0"),
        ("1.5", "1.5"),
        ("1200.50", "1200.50"),
        ("0", "0.0"),
        ("0.0", "0.0"),
        ("-7", "-7.0"),
        ("", ""),
        ("9007199254740993", "9007199254740993.0"),
        ("99999999999999999999", "99999999999999999999.0"),
        ("9007199254740993.0", "9007199254740993.0"),
        ("1e300", "1e300"),
        ("inf", "inf"),
    ],
)
@pytest.mark.parametrize("tracked", [True, False])
def test_each_volume_is_written_with_a_point(published: str, written: str, tracked: bool, cache: Cache) -> None:
    cache.add(_file({"volume": published}, {"ticker": "B"}), "A" if tracked else "")
    assert cache.extract("A") == [("A", "2024-01-02", f"2024-01-02,1.10,3.30,0.40,2.20,{written}")]


@given(st.decimals(0, 10**12, places=3) | st.integers(0, 2**60), st.sampled_from(["", "e0", "E+0"]))
@example(Decimal("0.001"), "")
def test_no_volume_changes_its_value(number: Decimal | int, exponent: str) -> None:
    with TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        cache.add(_file({"volume": f"{number}{exponent}"}), "A")
        written = cache.extract("A")[0][2].rpartition(",")[2]
    value = Decimal(written)
    assert value == number
    assert not written.isdigit()
    if isinstance(number, int) and not exponent:
        assert written == f"{number}.0"


@pytest.mark.parametrize("price", ["1", "1.0", "1.00", "187.4300", "0.00010", "1e-4", "123456789.123456789", ""])
def test_prices_are_written_as_they_were_published_and_whole_ones_with_a_point(price: str, cache: Cache) -> None:
    cache.add(_file(dict.fromkeys(["open", "high", "low", "close"], price)), "A")
    told = pointed(price)
    assert cache.extract("A") == [("A", "2024-01-02", f"2024-01-02,{told},{told},{told},{told},100.0")]


def test_contracts_are_counted_in_whole_numbers(tmp_path: Path) -> None:
    options = CATALOGUE["options-day"]
    cache = Cache(tmp_path)
    cache.add(_file({"volume": "150.000000"}, {"ticker": "B", "volume": "7"}))
    found = csv_lines.extract(replace(cache.layout, dataset=options), cache.sessions, frozenset({"A", "B"})).rows()
    assert [line.rpartition(",")[2] for *_, line in found] == ["150", "7"]


@given(st.permutations(NAMES), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
@example(["ticker", "volume", "open", "high", "low", "window_start", "transactions", "close"], "\r\n", True, False)
@example(["ticker", "close", "open", "high", "low", "window_start", "transactions", "volume"], "\r\n", True, False)
@example(["volume", "close", "open", "high", "low", "window_start", "transactions", "ticker"], "\r\n", True, True)
def test_any_order_of_columns_and_any_line_end_give_the_same_rows(
    columns: list[str], end: str, last_newline: bool, bom: bool
) -> None:
    text = _file({"ticker": "A"}, {"ticker": "B"}, columns=columns, end=end)
    text = (b"\xef\xbb\xbf" if bom else b"") + (text if last_newline else text.removesuffix(end.encode()))
    with TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        cache.add(text, "A")
        assert cache.extract("A", "B") == [
            (ticker, "2024-01-02", "2024-01-02,1.10,3.30,0.40,2.20,100.0") for ticker in "AB"
        ]


@given(
    st.lists(st.lists(st.sampled_from(["A", "AA", "B", *HOSTILE]), max_size=12), max_size=4),
    st.frozensets(st.sampled_from(["A", "B", *HOSTILE])),
    st.frozensets(st.sampled_from(["A", "AA", "B", "ZZ", *HOSTILE])),
    st.booleans(),
)
def test_each_wanted_ticker_has_its_first_row_of_each_session(
    sessions: list[list[str]], tracked: frozenset[str], wanted: frozenset[str], in_order: bool
) -> None:
    with TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        expected = {}
        for number, names in enumerate(sessions):
            names = sorted(names) if in_order else names
            cache.add(_file(*({"ticker": name, "open": f"{row}.5"} for row, name in enumerate(names))), tracked)
            day = (DAY + timedelta(days=number)).isoformat()
            for name in wanted & set(names):
                expected[name, day] = f"{day},{names.index(name)}.5,3.30,0.40,2.20,100.0"
        assert cache.extract(*wanted) == [(*key, expected[key]) for key in sorted(expected)]


def test_a_tracked_ticker_is_read_from_its_own_part_alone(cache: Cache) -> None:
    cache.add(_tickers("A", "B"), "A")
    Path(cache.layout.parts.described(PartKey(DAY, "archive"))).unlink()
    assert [row[0] for row in cache.extract("A")] == ["A"]
    with pytest.raises(CacheError, match=r"2024-01-02\.csv\.gz"):
        cache.extract("B")


def test_a_ticker_that_was_tracked_on_some_days_is_read_from_both_tiers(cache: Cache) -> None:
    for tracked in ("A", "", "A", "B"):
        cache.add(_tickers("A", "B"), tracked)
    assert [row[1] for row in cache.extract("A")] == ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]


def test_dropped_rows_are_not_read(cache: Cache) -> None:
    cache.add(_tickers("A", "B"), "A", keep_rest=False)
    assert [row[0] for row in cache.extract("A", "B")] == ["A"]


def test_a_session_without_rows_gives_none(cache: Cache) -> None:
    cache.add(_tickers(), "A")
    cache.add(_tickers("A"), "A")
    assert [row[1] for row in cache.extract("A")] == ["2024-01-03"]


def test_nothing_wanted_or_stored_is_an_empty_table(cache: Cache) -> None:
    assert cache.extract("A") == []
    cache.add(_tickers("A"), "A")
    assert cache.extract() == []


def test_many_sessions_are_read_in_batches_as_if_at_once(cache: Cache) -> None:
    for number in range(30):
        columns = NAMES if number % 3 else NAMES[::-1]
        cache.add(_file({"ticker": "B"}, {"ticker": "A", "open": f"{number}.5"}, columns=columns))
    together = cache.extract("A")
    assert cache.extract("A", batch_bytes=100) == together
    assert [row[2].split(",")[1] for row in together] == [f"{number}.5" for number in range(30)]


def test_parts_that_polars_wrote_are_read_like_others(cache: Cache) -> None:
    text = _file({"ticker": '"X\nY"'}, {"ticker": "A", "volume": "7.0"}, {"ticker": "B"}, {"ticker": "A"})
    cache.add(text, "A")
    cache.add(_tickers("A", "B"), "A")
    assert [parts_of.cut for parts_of in cache.sessions] == ["polars", "lines"]
    assert cache.extract("A", "B", "X\nY") == [
        ("A", "2024-01-02", "2024-01-02,1.10,3.30,0.40,2.20,7.0"),
        ("A", "2024-01-03", "2024-01-03,1.10,3.30,0.40,2.20,100.0"),
        ("B", "2024-01-02", "2024-01-02,1.10,3.30,0.40,2.20,100.0"),
        ("B", "2024-01-03", "2024-01-03,1.10,3.30,0.40,2.20,100.0"),
        ("X\nY", "2024-01-02", "2024-01-02,1.10,3.30,0.40,2.20,100.0"),
    ]


@pytest.mark.parametrize("extra", ["date", "line", "tracked", "Date", "\0date"])
@pytest.mark.parametrize("cut", ["lines", "polars"])
def test_the_date_comes_from_the_key_whatever_columns_a_file_has(extra: str, cut: str, cache: Cache) -> None:
    other = '"X\nY"' if cut == "polars" else "X"
    cache.add(_file({extra: "1999-01-01"}, {"ticker": other, extra: "1999-01-01"}, columns=[*NAMES, extra]), "A")
    assert cache.sessions[0].cut == cut
    assert cache.extract("A") == [("A", "2024-01-02", "2024-01-02,1.10,3.30,0.40,2.20,100.0")]


@pytest.mark.parametrize(
    "bad", [b"B,100,1.0,2.0\n", b"B,1,1,1,1,1,1,1,9,9\n", b"\n"], ids=["too few fields", "too many fields", "blank"]
)
@pytest.mark.parametrize("tracked", ["", "A", "B"])
def test_what_was_accepted_can_be_read(bad: bytes, tracked: str, cache: Cache) -> None:
    """A session that is committed but cannot be projected would end every later run."""
    lines = _tickers("A", "C").splitlines(keepends=True)
    try:
        cache.add(b"".join([*lines[:2], bad, lines[2]]), tracked)
    except UnreadableFile:
        return
    cache.add(_tickers("A", "B", "C"), tracked)
    found = {(ticker, day) for ticker, day, _ in cache.extract("A", "B", "C")}
    assert {(ticker, "2024-01-03") for ticker in "ABC"} | {("A", "2024-01-02"), ("C", "2024-01-02")} <= found


def test_a_damaged_part_is_an_error_of_the_cache(cache: Cache) -> None:
    cache.add(_tickers("A", "B"), "A")
    path = Path(cache.layout.parts.described(PartKey(DAY, "tracked")))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CacheError, match=r"2024-01-02\.csv\.gz"):
        cache.extract("A")


@pytest.mark.parametrize("rows", [100, 2000], ids=["joined", "found first"])
def test_many_tickers_are_read_from_small_and_large_parts(rows: int, cache: Cache) -> None:
    names = [f"T{number:04}" for number in range(rows)]
    for _ in range(2):
        cache.add(_tickers(*names), block=1 << 20)
    wanted = names[:: rows // 20]
    found = cache.extract(*wanted, "absent")
    assert [(ticker, day) for ticker, day, _ in found] == [
        (ticker, f"2024-01-0{day}") for ticker in wanted for day in (2, 3)
    ]
    assert {line for *_, line in found} == {f"2024-01-0{day},1.10,3.30,0.40,2.20,100.0" for day in (2, 3)}
