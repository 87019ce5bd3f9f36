"""The difference between two versions of a day: complete, minimal, and the same as single values."""

from collections import Counter
from collections.abc import Iterable
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.cache.manifest.integrity import codec
from ingest.errors import LosesRows
from ingest.market.catalogue import STOCKS_DAY
from ingest.splitting.diff import (
    Change,
    Correction,
    Difference,
    Rows,
    changes,
    check_loss,
    difference,
    fields_of,
    refuse_loss,
    rows_of,
)

DAY = date(2025, 3, 4)
COLUMNS = ("ticker", "close", "volume")
ETAGS = ("old", "new")

cells = st.text("ab,\"'0.é", max_size=3)
# A line without any field is not a row.
rows = st.lists(st.tuples(st.sampled_from(["A", "B", 'C"', "D,E", ""]), cells, cells).filter(any), max_size=8)


def line(fields: tuple[str, ...]) -> str:
    return ",".join('"' + one.replace('"', '""') + '"' if set(one) & set(',"') else one for one in fields)


def text(found: list[tuple[str, ...]], end: str = "\n") -> bytes:
    return end.join([",".join(COLUMNS), *map(line, found), ""]).encode()


def version(found: list[tuple[str, ...]]) -> Rows:
    return rows_of(COLUMNS, [text(found)])


def changed(before: Rows, after: Rows) -> Difference:
    return difference(before, after, STOCKS_DAY.numeric)


def applied(before: Rows, found: list[Change]) -> Counter[tuple[str, ...]]:
    """Rows after the changes; each changed row of a ticker is found by its old values."""
    have = Counter(tuple(fields_of(one)) for one in before.lines.elements())
    at = 0
    while at < len(found):
        one = found[at]
        if one.column is None:
            for row, number in ((one.old, -1), (one.new, 1)):
                if row is not None:
                    have[tuple(fields_of(row))] += number
            at += 1
            continue
        # The values of one row follow each other, in the order of the columns.
        old: dict[str, str] = {}
        new: dict[str, str] = {}
        last = -1
        while at < len(found) and found[at].ticker == one.ticker and found[at].column is not None:
            column = found[at].column
            assert column is not None
            if COLUMNS.index(column) <= last:
                break
            last = COLUMNS.index(column)
            old[column], new[column] = found[at].old or "", found[at].new or ""
            at += 1
        row = next(
            row
            for row, count in have.items()
            if count > 0
            and row[0] == one.ticker
            and all(row[COLUMNS.index(name)] == value for name, value in old.items())
        )
        have[row] -= 1
        have[tuple(new.get(name, value) for name, value in zip(COLUMNS, row, strict=True))] += 1
    return +have


def unique(found: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """One row per ticker, as a day should have."""
    return list({row[0]: row for row in found}.values())


def values(found: Iterable[Iterable[str]]) -> Counter[tuple[object, ...]]:
    """Rows with their numbers as numbers: another notation (`00` for `0`) is not a change."""
    return Counter((ticker, *map(value, others)) for ticker, *others in found)


def value(cell: str) -> object:
    try:
        return float(cell)
    except ValueError:
        return cell


@given(rows.map(unique), rows.map(unique))
@example([("A", "", "0")], [("A", "", "00")])
def test_the_changes_applied_to_the_old_rows_give_the_new_ones(
    old: list[tuple[str, ...]], new: list[tuple[str, ...]]
) -> None:
    before, after = version(old), version(new)
    one = Correction.of(DAY, ETAGS, changed(before, after))
    assert one is not None
    now = applied(before, list(changes(one)))
    assert values(now.elements()) == values(fields_of(found) for found in after.lines.elements())


@given(rows, rows)
def test_lines_removed_and_added_lead_from_one_version_to_the_other(
    old: list[tuple[str, ...]], new: list[tuple[str, ...]]
) -> None:
    """Also where a ticker has several rows, equal ones among them."""
    before, after = version(old), version(new)
    one = Correction.of(DAY, ETAGS, changed(before, after))
    assert one is not None
    assert before.lines - Counter(one.removed) + Counter(one.added) == after.lines
    assert not Counter(one.removed) & Counter(one.added)
    assert (one.kind == "equal rows") == (Counter(old) == Counter(new))
    assert codec.decode_correction(codec.to_json(one)) == one


@given(rows, rows)
def test_each_row_that_differs_is_in_just_one_change_or_more(
    old: list[tuple[str, ...]], new: list[tuple[str, ...]]
) -> None:
    before, after = version(old), version(new)
    one = Correction.of(DAY, ETAGS, changed(before, after))
    assert one is not None
    found = list(changes(one))
    went, came = before.tickers - after.tickers, after.tickers - before.tickers
    assert Counter(change.ticker for change in found if change.new is None and change.column is None) == went
    assert Counter(change.ticker for change in found if change.old is None and change.column is None) == came
    assert all(change.old != change.new for change in found)
    assert {change.session for change in found} <= {DAY}
    assert [change.ticker for change in found] == sorted(change.ticker for change in found)


@given(rows, st.sampled_from(["\n", "\r\n"]), st.integers(0, 8))
def test_rows_do_not_depend_on_line_ends_or_on_the_parts_they_stand_in(
    found: list[tuple[str, ...]], end: str, cut: int
) -> None:
    parts = rows_of(COLUMNS, [text(found[:cut], end), text(found[cut:], end)[: -len(end)]])
    assert parts.lines.total() == len(found)
    assert Counter(tuple(fields_of(one)) for one in parts.lines.elements()) == Counter(found)


@pytest.mark.parametrize(
    ("etags", "new", "kind"),
    [
        (("e", "f"), [("A", "2", "1")], "new etag"),
        (("e", "e"), [("A", "2", "1")], "same etag"),
        (("e", "f"), [("A", "1", "1")], "equal rows"),
        (("e", "e"), [("A", "1", "1")], None),
    ],
)
def test_the_kinds_are_told_apart(etags: tuple[str, str], new: list[tuple[str, ...]], kind: str | None) -> None:
    found = Correction.of(DAY, etags, changed(version([("A", "1", "1")]), version(new)))
    assert (found and found.kind) == kind


def test_changes_between_versions_of_other_columns() -> None:
    before = rows_of(("ticker", "close", "old"), [b"ticker,close,old\nA,1,x\n"])
    after = rows_of(("new", "ticker", "close"), [b"new,ticker,close\ny,A,2\n"])
    one = Correction.of(DAY, ETAGS, changed(before, after))
    assert one is not None
    found = [(change.ticker, change.column, change.old, change.new) for change in changes(one, "now")]
    assert found == [("A", "close", "1", "2"), ("A", "old", "x", None), ("A", "new", None, "y")]


def test_bytes_that_are_no_text_stay_apart() -> None:
    before, after = (rows_of(COLUMNS, [b"ticker,close,volume\nA\xff,1," + odd + b"\n"]) for odd in (b"\xfe", b"\xfd"))
    one = Correction.of(DAY, ETAGS, changed(before, after))
    assert one is not None
    assert [(change.ticker, change.old, change.new) for change in changes(one)] == [("A\\xff", "\\xfe", "\\xfd")]


@pytest.mark.parametrize(("lost", "held", "refused"), [(10, 100, False), (11, 100, True), (0, 0, False), (1, 9, True)])
def test_exactly_a_tenth_may_go(lost: int, held: int, refused: bool) -> None:
    if refused:
        with pytest.raises(LosesRows, match=f"^{lost} of the {held} stored rows are missing from the new file$"):
            refuse_loss(lost, held)
    else:
        refuse_loss(lost, held)


@given(rows, rows)
def test_a_loss_is_counted_ticker_by_ticker(old: list[tuple[str, ...]], new: list[tuple[str, ...]]) -> None:
    counts = [Counter(row[0] for row in found) for found in (old, new)]
    lost = sum(max(0, count - counts[1][ticker]) for ticker, count in counts[0].items())
    try:
        check_loss(version(old).tickers, version(new).tickers)
    except LosesRows:
        assert lost * 10 > len(old)
    else:
        assert lost * 10 <= len(old)
