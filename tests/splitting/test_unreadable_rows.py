"""A text has rows at fault exactly if it cannot be read, and can be read without them."""

import random

import pytest

from ingest.errors import UnreadableFile
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE
from ingest.splitting.parsing import parse_text
from ingest.splitting.unreadable.leaving_out import ReadableRows
from ingest.splitting.unreadable.locating import lines_near, locate

HEADER = b"ticker,volume,open,close,high,low,window_start,transactions"
GOOD = [b"1", b"2.5", b"3", b"4", b"1e5"]
ODD = [b"x", b"", b'"3"', b"\xe9", b"nan", b" 1", b"1 ", b"\0", b"-", b'""', b"1741000000000000000", b"0x1", b"1_0"]
QUOTES = [b'"', b'a"b', b'"A,B"', b'"a\nb"']


def some_text(seed, odd):
    chosen = random.Random(seed)
    share, lines = chosen.choice([0.0, 0.02, 0.1, 0.3]), [HEADER]
    for number in range(chosen.choice([1, 3, 10, 60])):
        fields = 8 if chosen.random() > 0.05 else chosen.choice([1, 3, 7, 9, 10])
        values = [chosen.choice(odd if chosen.random() < share else GOOD) for _ in range(fields - 1)]
        lines.append(b",".join([b"T%d" % number, *values]))
        lines += [b""] if chosen.random() < 0.02 else []
    end = chosen.choice([b"\n", b"\n", b"\r\n"])
    return end.join(lines) + (end if chosen.random() < 0.8 else b"")


def is_readable(text, dataset):
    try:
        parse_text(text, frozenset(), dataset)
    except UnreadableFile:
        return False
    return True


def in_pieces(text):
    return (text[at : at + 97] for at in range(0, len(text), 97))


@pytest.mark.parametrize(
    "seeds", [range(40), pytest.param(range(40, 3000), marks=pytest.mark.long)], ids=["few", "many"]
)
@pytest.mark.parametrize("dataset", [STOCKS_DAY, STOCKS_MINUTE], ids=lambda one: one.short)
def test_rows_are_at_fault_exactly_if_the_text_cannot_be_read(dataset, seeds):
    outcomes = set()
    for seed in seeds:
        text = some_text(seed, ODD)
        readable = is_readable(text, dataset)
        assert (locate(in_pieces(text), dataset).count == 0) is readable, seed
        outcomes.add(readable)
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    "seeds", [range(40), pytest.param(range(40, 3000), marks=pytest.mark.long)], ids=["few", "many"]
)
def test_what_is_left_can_be_read_and_is_all_of_the_other_lines(seeds):
    left = 0
    for seed in seeds:
        text = some_text(seed, ODD)
        rows = ReadableRows(lambda text=text: in_pieces(text), STOCKS_DAY)
        rest, (finding, of) = b"".join(rows.pieces()), rows.left_out()
        assert is_readable(rest, STOCKS_DAY), seed
        lines, kept = text.splitlines(keepends=True), rest.splitlines(keepends=True)
        assert (len(lines) - len(kept), of) == (finding.count, len(lines) - 1), seed
        remaining = iter(lines)
        assert all(line in remaining for line in kept), seed
        left += finding.count
    assert left > 0


@pytest.mark.parametrize(
    "seeds", [range(40), pytest.param(range(40, 3000), marks=pytest.mark.long)], ids=["few", "many"]
)
def test_a_row_is_named_whatever_quotes_do_to_the_others(seeds):
    texts = [(seed, some_text(seed, [*ODD, *QUOTES])) for seed in seeds]
    refused = [(seed, text) for seed, text in texts if not is_readable(text, STOCKS_DAY)]
    assert refused
    for seed, text in refused:
        assert locate(in_pieces(text), STOCKS_DAY).bad, seed


def plain(number, volume=b"100"):
    return b"T%03d,%s,5,5,5,5,1,3\n" % (number, volume)


def told(lines):
    """The lines at fault by number, how many rows are left out of how many, and the rest."""
    text = b"".join([HEADER + b"\n", *lines])
    rows = ReadableRows(lambda: in_pieces(text), STOCKS_DAY)
    (finding, of), (_, *rest) = rows.left_out(), b"".join(rows.pieces()).splitlines(keepends=True)
    return [one.number for one in locate(in_pieces(text), STOCKS_DAY).bad], finding.count, of, rest


@pytest.mark.parametrize("stray", [b'"100', b'100"', b'1"00'])
def test_two_stray_quotes_do_not_take_the_rows_between_them_along(stray):
    lines = [plain(number, stray if number in (3, 250) else b"100") for number in range(300)]
    good = [line for line in lines if b'"' not in line]
    assert told(lines) == ([5, 252], 2, 300, good)
    lines[100], lines[101] = b'"T100",100,5,5,5,5,1,3\n', b'"T\n101",100,5,5,5,5,1,3\n'
    numbers, count, of, rest = told(lines)
    assert (numbers, count, of, len(rest)) == ([5, 253], 2, 301, 299)


def test_a_field_with_a_line_end_stays_one_row():
    lines = [plain(0), b'"T\n001",100,5,5,5,5,1,3\n', plain(2, b"x"), plain(3)]
    assert told(lines) == ([5], 1, 4, [plain(0), b'"T\n', b'001",100,5,5,5,5,1,3\n', plain(3)])


def test_lines_near_others():
    text = b"".join(b"%d\n" % number for number in range(1, 1001))
    assert lines_near(in_pieces(text), [1, 500]) == {n: b"%d" % n for n in (1, 2, 499, 500, 501)}
    assert lines_near(in_pieces(text), []) == {}
    assert lines_near([b"a" * 200_000, b"b\nc"], [2])[2] == b"c"
