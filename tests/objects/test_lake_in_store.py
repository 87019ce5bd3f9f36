"""A lake beside the parts in an object store answers as one in the cache's folder, and is kept as they are."""

import pickle
import shutil
from contextlib import suppress
from dataclasses import replace
from io import BytesIO

import duckdb
import polars as pl
import pytest
from lake_kit import DAYS
from pipeline_kit import TRACKED, Place, key, market_day, pack, window
from polars.testing import assert_frame_equal
from store_faults import in_front_of, kind_of
from stored_lake_kit import LocalLake, StoredLake
from tuning_kit import tune

import ingest
from ingest.cache.cache import Cache
from ingest.cache.commit import for_writing
from ingest.cache.objects.bucket import Bucket
from ingest.errors import CacheError, OtherWriter, StoreUnavailable
from ingest.lake import reading, update
from ingest.lake.partitions import Standing
from ingest.lake.state import build_lake, drop_lake, lake_state
from ingest.maintenance.pruning import Selection, remove_from
from ingest.maintenance.repair import repair
from ingest.maintenance.status import status
from ingest.maintenance.verify import verify
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.windows import Window
from ingest.planning.request import Request
from ingest.querying.asking import ask
from ingest.reading.scan import Scanned, lazy_rows

pytestmark = pytest.mark.polars_scans_objects

MONTHS = {
    "2025-02": "lake/stocks-day/year=2025/month=2/part-0.parquet",
    "2025-03": "lake/stocks-day/year=2025/month=3/part-0.parquet",
}
QUERY = "select ticker, count(*) as n, max(close) as most, max(date) as last from stocks_day group by 1 order by 1"


def placed(store, server, folder, kind=StoredLake):
    return kind(folder, server.endpoint_url, archive=store.url, store=store.endpoint, lake=True)


@pytest.fixture
def place(store, server, tmp_path):
    made = placed(store, server, tmp_path / "cache")
    made.run(*window(DAYS))
    return made


@pytest.fixture
def local(server, tmp_path):
    """A cache on the disk that has lived through the same."""
    (tmp_path / "other").mkdir()
    made = Place(tmp_path / "other" / "cache", server.endpoint_url, lake=True)
    made.run(*window(DAYS))
    return made


def of_lake(store):
    return {one.name: one.etag for one in store.listing("lake")}


def answers(place):
    """What the place answers, by all the ways that read the lake."""
    config = place.config()
    found = {
        "scan": ingest.scan(config=config).collect().sort("date", "ticker"),
        "day": ingest.day(DAYS[-1], config=config).sort("ticker"),
        "history": ingest.history(["AAPL", "TRUE"], config=config, adjust="none", fetch=False),
        "sql": ingest.sql(QUERY, config=config),
        "one": ingest.sql("from stocks_day where ticker = 'AAPL' order by date", config=config),
    }
    return {name: rows.to_dict(as_series=False) for name, rows in found.items()}


def check(place, store, local=None):
    """The lake is clean and whole, in the store alone, and answers as a local one."""
    state = lake_state(place.settings(), STOCKS_DAY)
    assert (state.due, state.unwanted, state.files) == (0, 0, len(of_lake(store)))
    assert verify(place.settings(), deep=True).problems == ()
    assert not list(place.root.rglob("*.parquet"))
    assert not list(place.root.rglob("*.tmp"))
    if local:
        assert answers(place) == answers(local)


@pytest.fixture
def parts_unread(monkeypatch):
    """Reading a part is an error: what is answered comes from the lake."""

    def refuse(*_):
        raise AssertionError("a part was read")

    def block():
        monkeypatch.setattr("ingest.cache.objects.parts.ObjectParts.read", refuse)
        monkeypatch.setattr("ingest.cache.objects.parts.ObjectParts.read_ranges", refuse)

    return block


def test_it_is_beside_the_parts_and_answers_as_a_local_one(place, store, local, parts_unread):
    assert sorted(of_lake(store)) == sorted(MONTHS.values())
    check(place, store, local)
    parts_unread()
    assert ingest.scan(config=place.config()).collect().height
    assert ingest.sql(QUERY, config=place.config()).height
    state = lake_state(place.settings(), STOCKS_DAY)
    assert state.pattern == f"{store.url}/lake/stocks-day/**/*.parquet"
    assert {one.name: (one.path, one.files) for one in status(place.settings()).tiers}["lake"] == (
        f"{store.url}/lake/stocks-day",
        2,
    )


def test_corrections_prunings_and_new_sessions_are_followed(store, server, tmp_path):
    (tmp_path / "other").mkdir()
    stored = placed(store, server, tmp_path / "cache")
    local = Place(tmp_path / "other" / "cache", server.endpoint_url, lake=True)
    places = [stored, local]
    for one in places:
        one.run(*window(DAYS[:3]))
    before = of_lake(store)
    assert [one.run(*window(DAYS)).finished.lake_files for one in places] == [1, 1]
    assert [name for name, etag in of_lake(store).items() if before[name] != etag] == [MONTHS["2025-03"]]
    check(stored, store, local)
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", b"\nAAPL2,")))
    assert [one.run(*window(DAYS)).finished.lake_files for one in places] == [1, 1]
    check(stored, store, local)
    for one in places:
        remove_from(one.settings(), STOCKS_DAY, sorted(TRACKED), Selection(before=DAYS[2]), lambda _: None)
    assert sorted(of_lake(store)) == [MONTHS["2025-03"]]
    check(stored, store, local)


def test_a_run_with_nothing_new_writes_nothing(place, store):
    before = {one.name: one.modified for one in store.listing("lake")}
    assert place.run(*window(DAYS)).finished.lake_files == 0
    assert {one.name: one.modified for one in store.listing("lake")} == before


def edit(store, name):
    found = pl.read_parquet(store.get(name)[0]).with_columns(close=pl.lit(1.0))
    found.write_parquet(edited := BytesIO())
    store.put_over(name, edited.getvalue(), store.head(name).etag)


def spoil(store, name):
    store.put_over(name, b"PAR1 and so on", store.head(name).etag)


def delete(store, name):
    store.remove([name])


@pytest.mark.parametrize("deed", [edit, spoil, delete])
def test_what_others_edit_or_delete_is_named_read_from_the_parts_and_made_again(deed, place, store, local):
    deed(store, MONTHS["2025-02"])
    (problem,) = verify(place.settings()).problems
    kind = "missing" if deed is delete else "damaged"
    assert (problem.kind, problem.about, problem.period) == (kind, "lake", "2025-02")
    assert problem.what == f"{store.url}/{MONTHS['2025-02']}"
    assert ingest.sql(QUERY, config=place.config()).equals(ingest.sql(QUERY, config=local.config()))
    if deed is not edit:  # an object that is Parquet is believed until somebody lists it
        assert answers(place) == answers(local)
    assert lake_state(place.settings(), STOCKS_DAY).due == 1
    assert place.run(*window(DAYS)).finished.lake_files == 1
    check(place, store, local)


def test_a_repair_writes_again_what_is_not_right(place, store):
    delete(store, MONTHS["2025-02"])
    request = Request(Window(*window(DAYS)), TRACKED)
    said = list[str]()
    assert repair(place.settings(), request, deep=False, say=said.append) == frozenset()
    assert said == ["the lake's file of 2025-02 is written again from the parts"]
    check(place, store)


def test_after_a_kill_between_the_put_and_the_manifest_it_is_written_again(place, store, server, local, monkeypatch):
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", b"\nAAPL2,")))

    with monkeypatch.context() as patch:
        patch.setattr("ingest.cache.manifest.lake.LakeFiles.put", ended)
        with pytest.raises(KeyboardInterrupt):
            place.run(*window(DAYS))
    local.run(*window(DAYS))
    assert answers(place) == answers(local)
    assert lake_state(place.settings(), STOCKS_DAY).due == 1
    assert place.run(*window(DAYS)).finished.lake_files == 1
    check(place, store, local)


def ended(self, files):
    raise KeyboardInterrupt


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_is_replaced_while_it_is_read_comes_from_the_parts(is_killed, place, store, local, monkeypatch):
    """Also if its new version is put, and the manifest does not know it yet, or never will."""
    real = reading._read

    def replaced(cache, standing, chosen, wish):
        rows = real(cache, standing, chosen, wish)
        if rows is not None:
            delete(store, MONTHS["2025-02"])
            with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
                patch.setattr(reading, "_read", real)
                if is_killed:
                    patch.setattr("ingest.cache.manifest.lake.LakeFiles.put", ended)
                build_lake(place.settings(), STOCKS_DAY)
            return rows.with_columns(close=pl.lit(0.0))
        return rows

    monkeypatch.setattr(reading, "_read", replaced)
    rows = ingest.scan(config=place.config()).filter(pl.col("date") <= DAYS[1]).collect().sort("ticker")
    monkeypatch.setattr(reading, "_read", real)
    expected = ingest.scan(config=local.config()).filter(pl.col("date") <= DAYS[1]).collect().sort("ticker")
    assert_frame_equal(rows, expected)


def test_a_query_whose_file_is_replaced_says_so(place, store):
    with ingest.connect(config=place.config()) as connection:
        delete(store, MONTHS["2025-02"])
        with pytest.raises(duckdb.Error, match="was replaced or removed while it was read: ask again"):
            connection.execute("from stocks_day")


def test_a_second_cache_with_the_same_prefix_is_refused_and_changes_nothing(place, store, server, tmp_path):
    (tmp_path / "second").mkdir()
    second = placed(store, server, tmp_path / "second" / "cache")
    before = of_lake(store)
    second.run(*window(DAYS), fails=OtherWriter)
    with pytest.raises(OtherWriter):
        drop_lake(second.settings(), STOCKS_DAY)
    assert of_lake(store) == before


def test_whoever_is_no_longer_the_writer_puts_no_file(place, store, server, tmp_path):
    (tmp_path / "second").mkdir()
    second = placed(store, server, tmp_path / "second" / "cache")
    assert second.here("restore", "--yes").code == 0
    second.run(*window(DAYS))
    check(second, store)
    before = of_lake(store)
    place.execute("UPDATE lake SET contents = 'other'")
    with pytest.raises(OtherWriter):
        build_lake(place.settings(), STOCKS_DAY)
    with pytest.raises(OtherWriter):
        drop_lake(place.settings(), STOCKS_DAY)
    assert of_lake(store) == before


def test_restored_it_is_known_as_far_as_it_is_what_the_snapshot_says(place, store, local, server, tmp_path):
    (tmp_path / "new").mkdir()
    new = placed(store, server, tmp_path / "new" / "cache")
    spoil(store, MONTHS["2025-03"])
    assert replace(new, lake=False).here("restore", "--yes").code == 0
    state = lake_state(new.settings(), STOCKS_DAY)
    assert (state.files, state.due) == (1, 1)
    assert answers(new) == answers(local)
    assert new.run(*window(DAYS)).finished.lake_files == 1
    check(new, store, local)


def test_dropped_it_leaves_no_object_and_can_be_built_again(place, store):
    store.put_over("lake/stocks-day/notes.txt", b"mine", None)
    assert place.here("lake", "drop", "--yes").code == 0
    assert list(of_lake(store)) == ["lake/stocks-day/notes.txt"]
    store.remove(["lake/stocks-day/notes.txt"])
    assert place.here("lake", "build").code == 0
    check(place, store)


def test_an_object_of_sessions_that_are_not_stored_is_removed(place, store, tmp_path):
    copy = tmp_path / "copy"
    copy.write_bytes(store.get(MONTHS["2025-02"])[0])
    store.put_anyway("lake/stocks-day/year=2024/month=12/part-0.parquet", copy)
    assert lake_state(place.settings(), STOCKS_DAY).unwanted == 1
    place.run(*window(DAYS))
    check(place, store)


def moved_to(place, kind):
    return kind(place.root, place.endpoint_url, archive=place.archive, store=place.store, lake=True)


def test_another_place_in_the_settings_leaves_no_second_lake(place, store):
    local = moved_to(place, LocalLake)
    assert lake_state(local.settings(), STOCKS_DAY).due == 2
    assert local.run(*window(DAYS)).finished.lake_files == 2
    assert of_lake(store) == {}
    assert len(list(place.root.rglob("*.parquet"))) == 2
    back = moved_to(local, StoredLake)
    assert back.run(*window(DAYS)).finished.lake_files == 2
    check(back, store)


def test_the_parts_come_home_and_the_lake_with_them(place, store, monkeypatch):
    assert place.here("move", "--to", "local", "--yes").code == 0
    home = Place(place.root, place.endpoint_url, lake=True)
    assert home.run(*window(DAYS)).finished.lake_files == 2
    assert len(list(place.root.rglob("*.parquet"))) == 2
    home.execute("UPDATE departures SET at = '2020-01-01T00:00:00+00:00'")
    home.run(*window(DAYS))
    assert list(store.listing()) == []


def test_the_parts_go_to_a_store_and_the_lake_with_them(store, server, tmp_path):
    home = Place(tmp_path / "cache", server.endpoint_url, lake=True)
    home.run(*window(DAYS))
    away = placed(store, server, home.root)
    told = away.here("move", "--yes")
    assert told.code == 0
    assert "lake" in told.out
    assert away.run(*window(DAYS)).finished.lake_files == 2
    check(away, store)


def test_large_files_are_put_in_pieces(store, server, tmp_path, monkeypatch):
    tune(monkeypatch, store_multipart=1000, store_chunk=5 << 20)
    made = placed(store, server, tmp_path / "cache")
    made.run(*window(DAYS))
    assert all("-" in one.etag for one in store.listing("lake"))  # the ETag of an object that was put in pieces
    check(made, store)


def test_a_store_that_goes_away_is_named_and_the_rest_stays(place, store, server):
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", b"\nAAPL2,")))
    replace(place, lake=False).run(*window(DAYS))
    before = of_lake(store)
    gone = Bucket(store.url, "http://127.0.0.1:1", store.region, tuning=replace(store.tuning, store_waited_s=0.1))
    with for_writing(place.settings(), STOCKS_DAY) as cache:
        away = replace(cache, lake_store=gone)
        with pytest.raises(StoreUnavailable, match="does not do what was asked"):
            update.bring_lake_up_to_date(away)
    assert of_lake(store) == before
    assert lake_state(place.settings(), STOCKS_DAY).due == 1


def test_reading_while_the_store_is_away_is_the_error_of_the_parts(store, server, tmp_path, monkeypatch):
    with in_front_of(store.endpoint) as front:
        made = placed(replace(store, endpoint=front.endpoint), server, tmp_path / "cache")
        made.run(*window(DAYS))
    tune(monkeypatch, store_waited_s=0.1)
    chosen = made.settings()
    for answer in (
        lambda: lazy_rows(Scanned(chosen, STOCKS_DAY, DAYS[0], DAYS[-1], frozenset({"massive"}))).collect(),
        lambda: ask(chosen, QUERY),
    ):
        with pytest.raises(StoreUnavailable, match="the store does not do what was asked of s3://"):
            answer()


def counted(front):
    found = [kind_of(one) for one in front.requests]
    front.requests.clear()
    return {kind: found.count(kind) for kind in sorted(set(found))}


def test_how_many_requests_it_takes(store, server, tmp_path):
    with in_front_of(store.endpoint) as front:
        place = placed(replace(store, endpoint=front.endpoint), server, tmp_path / "cache")
        off = replace(place, lake=False)
        off.run(*window(DAYS[:2]))
        counted(front)
        off.run(*window(DAYS[:2]))
        nothing = counted(front)
        off.run(*window(DAYS[:3]))
        one_more = counted(front)
        place.run(*window(DAYS[:3]))
        counted(front)
        place.run(*window(DAYS[:3]))
        assert counted(front) == nothing | {"list": nothing["list"] + 1}
        place.run(*window(DAYS))
        of_month = 2 * len(DAYS[2:])  # parts that the month is written from
        more = {"list": one_more["list"] + 1, "get": one_more["get"] + 2 + of_month, "put": one_more["put"] + 1}
        assert counted(front) == one_more | more


def test_how_many_requests_a_ticker_takes(store, server, tmp_path):
    with in_front_of(store.endpoint) as front:
        place = placed(replace(store, endpoint=front.endpoint), server, tmp_path / "cache")
        place.run(*window(DAYS))
        counted(front)
        rows = ingest.scan(config=place.config()).filter(pl.col("ticker") == "AAPL").collect()
        found = counted(front)
        assert (rows.height, set(found)) == (len(DAYS), {"range"})
        assert found["range"] <= 2 * len(MONTHS)
        assert ingest.sql("from stocks_day where ticker = 'AAPL'", config=place.config()).height == len(DAYS)
        found = counted(front)
        assert (set(found), found["list"]) == ({"range", "list"}, 1)
        assert found["range"] <= 5 * len(MONTHS)


def test_keys_are_in_no_plan_and_no_message(place, store, seaweed, monkeypatch):
    secret = seaweed.writer.secret_key
    with Cache.read(place.settings(), STOCKS_DAY) as cache:
        standing = Standing.of(cache)
        rows = standing.folder.scan(list(standing.files.values()))
        told = [rows.explain(), repr(rows), repr(standing), str(pickle.dumps(standing))]
        assert not any(secret in one or seaweed.writer.access_key in one for one in told)
        assert secret.encode() not in pickle.dumps(rows)
        delete(store, MONTHS["2025-02"])
        with pytest.raises((OSError, pl.exceptions.PolarsError)) as caught:
            rows.collect()
        assert secret not in str(caught.value)


def test_a_part_that_cannot_be_read_is_an_error_once_the_rest_is_written(place, store, monkeypatch):
    place.execute("UPDATE lake SET contents = 'other'")
    (part,) = [one.name for one in store.listing("archive") if str(DAYS[0]) in one.name]
    spoil(store, part)
    with for_writing(place.settings(), STOCKS_DAY) as cache:
        with pytest.raises(CacheError, match=str(DAYS[0])):
            update.bring_lake_up_to_date(cache)
        assert [one.name for one in Standing.of(cache).looked().due] == ["2025-02"]


@pytest.mark.parametrize("name", ["lake", "lake/.staging"])
def test_a_file_in_place_of_the_folder_in_which_files_are_written_is_moved_aside(name, place, server):
    path = place.root / name
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.write_text("mine")
    server.put(key(DAYS[1]), pack(market_day(DAYS[1]).replace(b"\nAAPL,", b"\nAAPL2,")))
    told = place.here("run", "--start", DAYS[0], "--end", DAYS[-1])
    assert (told.code, "was moved to" in told.out) == (0, True)
    assert ask(place.settings(), "select count(*) from stocks_day where ticker = 'AAPL2'").item() == 1
    assert [one.read_text() for one in place.root.rglob("*.damaged-*")] == ["mine"]
