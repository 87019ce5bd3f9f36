"""Texts of a day as the vendor writes them, and as it might."""

from hypothesis import strategies as st

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
