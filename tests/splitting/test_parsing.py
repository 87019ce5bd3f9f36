"""Texts that are parsed in one query are what they are when parsed alone; what may not be is parsed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.splitting.parsing import parse_text, parse_together, stamps

STAMP = "1700000000000000000"
ROW = ["A", "1", "2", "2.5", "3", "1.5", STAMP, "4"]
HEADER = "ticker,volume,open,close,high,low,window_start,transactions"
TRACKED = frozenset({"A", "NA", "B*"})

cells = st.sampled_from(
    ["", " ", "x", '"', '"1"', "1e3", "nan", "-0", "007", "1700000000000000001", "1" * 30, "É", "\r"]
)
tickers = st.sampled_from(["A", "B", "NA", "TRUE", "BRK.B", "", "É", '"A"', "1E5"])


@st.composite
def rows(draw):
    row = [draw(tickers), *ROW[1:]]
    for place in draw(st.lists(st.integers(0, 7), max_size=1)):
        row[place] = draw(cells)
    return ",".join(row[: draw(st.sampled_from([8, 8, 8, 8, 7, 1]))]) + draw(st.sampled_from(["", "", "", ",9"]))


@st.composite
def days(draw):
    header = draw(
        st.sampled_from([HEADER] * 8 + ["﻿" + HEADER, HEADER + ",otc", HEADER.replace("high,low", "low,high")])
    )
    plain = st.lists(tickers.filter(str.isalnum).map(lambda name: ",".join([name, *ROW[1:]])), max_size=6)
    lines = draw(plain | plain | st.lists(rows() | st.just(""), max_size=6))
    end = draw(st.sampled_from(["\n"] * 6 + ["\r\n", "\n\n"]))
    text = end.join([header, *lines]) + draw(st.sampled_from([end] * 6 + [""]))
    return text.encode()


def assert_same(one, other):
    """If a stamp of another text is not a number, the stamps are not parsed; what they say is the same."""
    assert (one.text, one.header, one.ordered, one.cut) == (other.text, other.header, other.ordered, other.cut)
    assert stamps(one.text, one.header, one.rows) == stamps(other.text, other.header, other.rows)
    assert_frame_equal(one.rows.drop("stamp", strict=False), other.rows.drop("stamp", strict=False))
    assert np.array_equal(one.tracked, other.tracked)
    assert np.array_equal(one.edges, other.edges)


@pytest.mark.parametrize("name", ["stocks-day", "stocks-minute", "futures-cme-day"])
@given(texts=st.lists(days(), min_size=2, max_size=4))
def test_together_is_as_alone(name, texts):
    dataset = CATALOGUE[name]
    if name.startswith("futures"):
        texts = [
            text.replace(b"window_start", b"session_end_date").replace(STAMP.encode(), b"2023-11-14") for text in texts
        ]
    found = parse_together(texts, TRACKED, dataset)
    for one, text in zip(found or (), texts, strict=found is not None):
        assert_same(one, parse_text(text, TRACKED, dataset))


def test_plain_texts_are_parsed_together():
    texts = [f"{HEADER}\n{lines}".encode() for lines in ("", ",".join(ROW) + "\n", "B" + ",".join(ROW)[1:] + "\n" * 1)]
    found = parse_together(texts, TRACKED, STOCKS_DAY)
    assert [one.rows.height for one in found] == [0, 1, 1]
    assert [one.rows["ticker"].to_list() for one in found] == [[], ["A"], ["B"]]


@pytest.mark.parametrize(
    "other",
    [
        HEADER.encode(),
        f"{HEADER}\n{','.join(ROW)}".encode(),
        f"{HEADER},otc\n".encode(),
        f'{HEADER}\n"A"{",".join(ROW)[1:]}\n'.encode(),
        f"{HEADER}\n\n".encode(),
        f"{HEADER}\n{','.join(ROW).replace('2.5', 'x')}\n".encode(),
        b"no header\n",
        b"",
    ],
)
def test_a_text_that_may_differ_is_left_to_be_parsed_alone(other):
    plain = f"{HEADER}\n{','.join(ROW)}\n".encode()
    assert parse_together([plain, other], TRACKED, STOCKS_DAY) is None
    assert parse_together([other, plain], TRACKED, STOCKS_DAY) is None
