"""Reading parts while a run replaces them."""

from pathlib import Path

import pytest
from pipeline_kit import HEADER, Place, flat, key, market_objects
from runs_kit import DAYS, SPAN

from ingest.cache import csv_files
from ingest.cache.cache import Cache
from ingest.cache.csv_files import CsvFolder
from ingest.cache.layout import PartKey
from ingest.cache.manifest.records import Projection
from ingest.cache.parts import bars
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import CacheError, NotFound
from ingest.files import batches
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.reading import history
from ingest.reading import rows as reading


@pytest.fixture
def cache(loopback_keys, tmp_path):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(*SPAN)
        with Cache.read(place.settings(), STOCKS_DAY) as opened:
            yield opened


def read(cache):
    return reading.massive(cache, frozenset({"AAPL"}), DAYS, trades=True)


def test_a_damaged_part_is_said_at_once_where_no_run_is_going_on(cache):
    part = Path(cache.parts.described(PartKey(DAYS[2], "tracked")))
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(CacheError, match=str(DAYS[2])):
        read(cache)


def test_a_csv_without_volume_is_read_as_one_that_does_not_say(tmp_path):
    folder = CsvFolder(tmp_path, CATALOGUE["indices-day"])
    line = "2025-03-03,10.5,10.75,10.25,10.6\n"
    with batches.together() as batch:
        state = csv_files.write(folder, Projection("I:SPX"), folder.header + line.encode(), batch)
    rows = reading._csv(folder, state, DAYS[:1])
    assert rows.rows() == [("I:SPX", DAYS[0], 10.5, 10.75, 10.25, 10.6, None, None)]
    assert rows.schema == reading.BARS


def test_a_session_without_rows_is_held_all_the_same(loopback_keys, tmp_path):
    with loopback.serve({key(DAYS[0]): pack(flat([]))}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[0])
    assert history.day_rows(place.settings(), STOCKS_DAY, DAYS[0]).is_empty()
    with pytest.raises(NotFound, match="is not stored"):
        history.day_rows(place.settings(), STOCKS_DAY, DAYS[1])


def test_a_count_is_exact_whatever_the_rows_parsed_with_it() -> None:
    columns = tuple(HEADER.split(","))
    large = 2**53 + 1
    rows = f"2025-03-03,AAPL,1,1,1,1,1,1,{large}\n2025-03-03,ZZZ,odd,1,1,1,1,1,1\n".encode()
    found = bars._wanted(rows, columns, frozenset({"AAPL"}), STOCKS_DAY)
    assert found["transactions"].to_list() == [large]
