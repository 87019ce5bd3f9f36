"""Whether Yahoo's closes match Massive's: lasting factors are distinguished from single wrong closes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.reading.adjusting.agreement import agreement_of

TOLERANCE = 0.02


def judged(ratios, beside=None):
    """The places that are wrong by a factor, and those that are outliers."""
    alone = np.zeros(len(ratios), dtype=bool)
    alone[1:-1] = True
    if beside is not None:
        alone[beside] = False
    found = agreement_of(np.log(np.array(ratios, dtype=float)), alone, TOLERANCE)
    assert (found.agrees.astype(int) + found.factor + found.outlier == 1).all()
    return list(np.flatnonzero(found.factor)), list(np.flatnonzero(found.outlier))


def with_(count=20, **places):
    ratios = [1.0] * count
    for place, ratio in places.items():
        ratios[int(place[1:])] = ratio
    return ratios


@pytest.mark.parametrize(
    ("ratios", "factor", "outliers"),
    [
        ([1.0], [], []),
        ([1.019, 0.982], [], []),
        ([1.03], [0], []),
        ([1.03, 1.0], [], [0]),
        ([4.0, 1.0], [0], []),
        # A single close, wherever it is.
        (with_(_0=1.03), [], [0]),
        (with_(_19=0.97), [], [19]),
        (with_(_7=1.03), [], [7]),
        (with_(_7=10.0), [], [7]),
        # At an edge nothing shows that a large difference concerns only one close.
        (with_(_0=10.0), [0], []),
        (with_(_19=0.5), [19], []),
        # Neighbours that are off by the same factor, or by a lot.
        (with_(_7=1.03, _8=1.03), [7, 8], []),
        (with_(_7=1.03, _8=0.97), [], [7, 8]),
        (with_(_7=1.03, _8=1.09), [], [7, 8]),
        (with_(_7=1.03, _8=1.3), [7, 8], []),
        (with_(_7=10.0, _8=10.0, _9=10.0), [7, 8, 9], []),
        ([1.03, 1.0, 1.03, 1.03 * 0.97], [], [0, 2]),
        ([1.03, 1.0, 0.97], [0, 2], []),
    ],
)
def test_neighbours_are_a_factor_and_one_alone_is_an_outlier(ratios, factor, outliers):
    assert judged(ratios) == (factor, outliers)


def test_one_that_vouches_for_rows_beside_it_is_no_outlier_where_it_is_far_off():
    assert judged(with_(_7=10.0), beside=7) == ([7], [])
    assert judged(with_(_7=1.03), beside=7) == ([], [7])


SPLITS = [1.5, 2.0, 3.0, 4.0, 10.0, 20.0, 1.25, 1.1 * 1.1, 0.5, 0.1, 0.05, 1 / 3]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SPLITS), st.integers(12, 300), st.data())
def test_a_split_that_is_missing_in_some_stretch_is_found_in_all_of_it(seed, ratio, count, data):
    """However noisy the closes are, and wherever it begins and ends, while most of the closes agree."""
    noise = np.random.default_rng(seed).normal(0, data.draw(st.sampled_from([0.0, 0.003, 0.01, 0.02])), count)
    length = data.draw(st.integers(2, count // 3))
    begin = data.draw(st.integers(0, count - length))
    logs = noise.copy()
    logs[begin : begin + length] += np.log(ratio)
    clear = np.abs(logs[begin : begin + length]) > np.log(1.1)
    found = agreement_of(logs, np.ones(count, dtype=bool), TOLERANCE)
    assert found.factor[begin : begin + length][clear].all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(10, 500), st.sampled_from([0.0, 0.001, 0.005, 0.01, 0.02]))
def test_thinly_traded_securities_are_not_refused(seed, count, noise):
    """Closes that differ independently by up to a few percent are the same security's."""
    logs = np.clip(np.random.default_rng(seed).normal(0, noise, count), -0.09, 0.09)
    found = agreement_of(logs, np.ones(count, dtype=bool), TOLERANCE)
    assert int(found.factor.sum()) <= count * 0.02


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(12, 300), st.floats(1.3, 50))
def test_another_security_is_wrong_throughout(seed, count, apart):
    logs = np.log(apart) + np.cumsum(np.random.default_rng(seed).normal(0, 0.01, count)).clip(-0.1, 0.1)
    assert agreement_of(logs, np.ones(count, dtype=bool), TOLERANCE).factor.all()
