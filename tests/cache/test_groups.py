"""Groups of what is in memory together."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.cache.parts.groups import in_groups
from ingest.cache.parts.lines import batches


@given(sizes=st.lists(st.integers(0, 9)), most=st.integers(1, 12))
def test_groups_are_full_and_no_larger_than_they_may_be(sizes, most):
    groups = list(in_groups(sizes, int, most))
    assert [size for group in groups for size in group] == sizes
    assert all(sum(group) <= most or len(group) == 1 for group in groups)
    assert all(sum(group) + after[0] > most for group, after in pairwise(groups))


@given(texts=st.lists(st.tuples(st.sampled_from([("a",), ("a", "b")]), st.binary(max_size=9))), most=st.integers(1, 12))
def test_texts_are_joined_only_with_those_of_the_same_columns(texts, most):
    joined = list(batches(texts, most))
    for columns in (("a",), ("a", "b")):
        assert b"".join(text for one, text in joined if one == columns) == b"".join(t for c, t in texts if c == columns)
    assert all(len(text) <= most or any(len(one) == len(text) for _, one in texts) for _, text in joined)
