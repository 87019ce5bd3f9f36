"""Texts that are parsed in one query are what they are when parsed alone; what may not be is parsed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from texts_kit import HEADER, ROW, STAMP, TRACKED, days

from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.splitting.parsing import parse_text, parse_together, stamps


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
