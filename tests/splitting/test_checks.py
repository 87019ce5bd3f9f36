"""Rows with too few or too many fields are counted like by hand."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.finding import MISFITS, WITHIN_QUOTES, Finding
from ingest.splitting.checks import misshapen
from ingest.splitting.chunks import line_edges

HEADER = b"header\n"


def found(columns, fields):
    """The rows of a text that do not fit, by the number of fields of each of its rows."""
    text = HEADER + b"".join(b"x" + b"," * (count - 1) + b"\n" for count in fields)
    return misshapen(text, columns, line_edges(text, len(HEADER)))


@pytest.mark.parametrize("columns", [1, 2, 8, 256, 257, 300])
@given(st.data())
def test_rows_that_do_not_fit_are_counted(columns, data):
    near = st.sampled_from([columns, columns, columns - 1, columns + 1, columns + 256, max(columns - 256, 1)])
    fields = data.draw(st.lists(near.filter(bool), max_size=12))
    wrong = sum(count != columns for count in fields)
    assert found(columns, fields) == ((Finding(MISFITS, wrong),) if wrong else ())


@example(8)
@given(st.integers(1, 1000))
def test_a_surplus_in_one_row_does_not_hide_a_shortfall_in_another(columns):
    assert found(columns, [columns + 256] + [max(1, columns - 1)] * 256) != ()
    if columns > 256:
        assert found(columns, [columns + 256, columns - 256, columns]) == (Finding(MISFITS, 2),)


def test_what_is_quoted_does_not_count():
    text = HEADER + b'a,"b,c",d\na,"b\n,",d\na,b\n'
    assert misshapen(text, 3, np.asarray(line_edges(text, len(HEADER))))[1:] == (Finding(MISFITS, 1),)


def test_lines_that_two_stray_quotes_make_one_row_are_counted():
    text = HEADER + b'"a,b,c\n' + b"d,e,f\n" * 40 + b'g",h,i\n'
    assert misshapen(text, 3, line_edges(text, len(HEADER))) == (Finding(WITHIN_QUOTES, 41),)
