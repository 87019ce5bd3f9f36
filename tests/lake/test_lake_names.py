"""Names of the lake's files: what they say is what they were made from, and no other name says anything."""

from hypothesis import example, given
from hypothesis import strategies as st

from ingest.cache.objects.naming import hive_name, partition_in

DAYS = st.dates().map(str)
PARTITIONS = DAYS | DAYS.map(lambda day: day[:7])


@st.composite
def spoilt(draw):
    """The name of a partition with some characters left out, put in or in place of others."""
    name = hive_name(draw(PARTITIONS))
    begin = draw(st.integers(0, len(name)))
    end = draw(st.integers(begin, min(len(name), begin + 3)))
    return name[:begin] + draw(st.text("0123456789=-/.\n\u0665", max_size=3)) + name[end:]


@given(PARTITIONS)
@example("2025-02")
@example("2025-12-31")
def test_a_name_says_its_partition(partition):
    assert partition_in(hive_name(partition)) == partition


@given(spoilt())
@example("year=2025/month=02/part-0.parquet")
@example("year=2025/month=2/session=2025-03-03/part-0.parquet")
@example("year=2025/month=2/part-0.parquet\n")
@example("year=2025/month=\u0665/part-0.parquet")
@example("year=2025/month=2/part-0xparquet")
def test_no_other_name_says_one(name):
    partition = partition_in(name)
    assert partition is None or hive_name(partition) == name
