"""A cache with its parts in a bucket, while a run replaces them, a sweep removes them, or the store fails."""

from datetime import date

import pytest
from bucket_kit import BucketPlace, csvs_of, parts_of
from pipeline_kit import Place, flat, key, trading_days, window
from store_faults import in_front_of, kind_of, one_in
from tuning_kit import tune

import ingest
from ingest.cache.objects.parts import ObjectParts
from ingest.cache.parts import lines
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.demo.servers.faults import SLOW_DOWN, FlipByte, Status, always
from ingest.errors import CacheError, StoreUnavailable

DAYS = trading_days(date(2025, 3, 3), 12)
SPAN = window(DAYS)
TRACKED = frozenset({"AAPL", "T1*"})
_OTHERS = [(f"T{n:02}", f"{n + 1}") for n in range(60)]


def text(price):
    return flat([("AAPL", price), *_OTHERS])


@pytest.fixture(scope="module")
def server():
    with loopback.serve({key(day): pack(text("100.5")) for day in DAYS}) as running:
        yield running


@pytest.fixture
def front(store):
    with in_front_of(store.endpoint) as running:
        yield running


@pytest.fixture
def place(front, store, server, tmp_path, monkeypatch):
    """A cache of its own, whose store fails for a second at most before that is an error."""
    monkeypatch.setenv("MASSIVE_S3_ACCESS_KEY", "KEY")
    monkeypatch.setenv("MASSIVE_S3_SECRET_KEY", "secret-of-the-loopback")
    (tmp_path / "far").mkdir()
    tune(monkeypatch, store_waited_s=5.0, store_wait_first_s=0.01, store_wait_longest_s=0.05, look_again_s=0.01)
    return BucketPlace(tmp_path / "far" / "cache", server.endpoint_url, archive=store.url, store=front.endpoint)


def closes(place, ticker="T44"):
    found = ingest.history([ticker], config=place.config(), adjust="none")
    return dict(zip(found["date"], found["close"], strict=True))


def republish(server, day, price):
    server.put(key(day), pack(flat([("AAPL", "100.5"), *_OTHERS[:44], ("T44", price), *_OTHERS[45:]])))


def counted(front):
    found = [kind_of(one) for one in front.requests]
    front.requests.clear()
    return {kind: found.count(kind) for kind in sorted(set(found))}


# What a command costs


def test_a_run_with_nothing_to_do_lists_each_tier_once(place, front):
    place.run(*SPAN, tracked=TRACKED)
    front.requests.clear()
    place.run(*SPAN, tracked=TRACKED)
    asked = counted(front)
    assert asked.pop("list") == 2
    assert asked.keys() <= {"get", "head", "put"}  # who writes there, and the snapshot


def test_verify_lists_each_tier_and_reads_nothing(place, front):
    place.run(*SPAN, tracked=TRACKED)
    front.requests.clear()
    assert ingest.verify(config=place.config()).problems == ()
    assert counted(front) == {"list": 2}
    found = ingest.verify(config=place.config(), deep=True)
    assert (found.problems, found.files) == ((), 2 * len(DAYS))
    asked = counted(front)
    assert asked["get"] <= 2 * len(DAYS)  # each part once; ranges are for the CSVs


def test_status_lists_each_tier_once(place, front):
    place.run(*SPAN, tracked=TRACKED)
    front.requests.clear()
    assert ingest.status(config=place.config()).not_whole == ()
    assert counted(front) == {"list": 2}


def test_a_history_is_one_range_a_session(place, front):
    place.run(*SPAN, tracked=TRACKED)
    front.requests.clear()
    assert len(closes(place)) == len(DAYS)
    assert counted(front) == {"range": len(DAYS)}


@pytest.mark.long
def test_prune_lists_no_more_often_for_many_sessions(place, front):
    place.run(*SPAN, tracked=TRACKED)
    front.requests.clear()
    assert place.here("prune", "--before", DAYS[-2], "--yes").code == 0
    asked = counted(front)
    assert asked["list"] <= 10, asked
    assert asked["delete"] == 2
    assert {day for day, _ in parts_of(place)} == set(DAYS[-2:])


# Damage


def test_verify_finds_objects_that_are_gone_or_changed_and_a_repair_gets_them_back(place, store, server):
    place.run(*SPAN, tracked=TRACKED)
    before = parts_of(place)
    names = sorted(one.name for one in store.listing("archive"))
    store.remove([names[0]])
    etag = store.head(names[1]).etag
    store.put_over(names[1], b"x" * store.head(names[1]).size, etag)
    store.put_over("archive/us_stocks_sip/day_aggs_v1/notes.csv.gz", b"somebody else's", None)
    found = ingest.verify(config=place.config())
    assert [(one.kind, one.what) for one in found.problems] == [
        ("missing", f"{store.url}/{names[0]}"),
        ("damaged", f"{store.url}/{names[1]}"),
    ]
    told = place.here("verify", "--repair", INGEST_TRACKED__TICKERS='["AAPL", "T1*"]', INGEST_RUN__MONTHS="60")
    assert told.code == 0, told
    assert parts_of(place) == before
    assert ingest.verify(config=place.config(), deep=True).problems == ()


@pytest.mark.long
@pytest.mark.parametrize("damage", ["a row", "garbled"])
def test_what_a_manifest_lost_is_taken_from_the_objects(damage, place):
    place.run(*SPAN, tracked=TRACKED)
    before, manifest = parts_of(place), place.root / "manifest.sqlite"
    listed = {"INGEST_TRACKED__TICKERS": '["AAPL", "T1*"]', "INGEST_RUN__MONTHS": "60"}
    if damage == "a row":
        place.execute(f"DELETE FROM sessions WHERE session = '{DAYS[4]}'")
    else:  # with it the identity, which the guard of the bucket asks for
        content = manifest.read_bytes()
        manifest.write_bytes(content[:100] + b"\xff" * 4000 + content[4100:])
        told = place.here("verify", "--repair", **listed)
        assert (told.code, "ingest restore" in told.err) == (6, True)
        manifest.rename(place.root / "aside.sqlite")  # as restore asks for
        told = place.here("restore", "--yes", **listed)
        assert told.code == 0, told
    told = place.here("verify", "--repair", **listed)
    assert told.code == 0, told
    assert parts_of(place) == before
    assert ingest.verify(config=place.config(), deep=True).problems == ()


@pytest.mark.long
def test_an_etag_that_changed_although_the_bytes_did_not_is_no_damage(place, store):
    place.run(*SPAN, tracked=TRACKED)
    place.execute("UPDATE objects SET etag = 'another'")
    assert ingest.verify(config=place.config()).problems == ()
    place.execute("DELETE FROM objects")
    assert ingest.verify(config=place.config()).problems == ()


# Readers beside a run, and beside the sweep


@pytest.mark.long
def test_a_reader_that_began_before_a_replacement_reads_what_was_there(place, server, store, monkeypatch):
    place.run(*SPAN, tracked=TRACKED)
    read, met = lines.read_lines, []

    def meanwhile(*given):
        if not met:
            met.append(True)
            republish(server, DAYS[0], "77.5")
            assert place.run(*SPAN, tracked=TRACKED).finished.corrections == 1
        return read(*given)

    monkeypatch.setattr(lines, "read_lines", meanwhile)
    monkeypatch.setattr(ObjectParts, "ahead", 1)
    assert closes(place)[DAYS[0]] == 45.0
    assert closes(place)[DAYS[0]] == 77.5
    republish(server, DAYS[0], "45")


def test_a_reader_that_takes_longer_than_replaced_parts_are_kept_reads_the_new_ones(place, server, store, monkeypatch):
    place.run(*SPAN, tracked=TRACKED)
    old = {one.name for one in store.listing()}
    read, met = lines.read_lines, []

    def meanwhile(*given):
        if not met:
            met.append(True)
            republish(server, DAYS[0], "78.5")
            place.run(*SPAN, tracked=TRACKED)
            new = {one.name for one in store.listing()} - old
            days = {name.rpartition("/")[2][:10] for name in new if name.startswith("archive")}
            store.remove([name for name in old if name.startswith("archive") and name.rpartition("/")[2][:10] in days])
        return read(*given)

    monkeypatch.setattr(lines, "read_lines", meanwhile)
    monkeypatch.setattr(ObjectParts, "ahead", 1)
    assert closes(place)[DAYS[0]] == 78.5
    assert met
    republish(server, DAYS[0], "45")


def test_a_part_that_is_gone_without_a_replacement_is_an_error(place, store):
    place.run(*SPAN, tracked=TRACKED)
    gone = next(one.name for one in store.listing("archive"))
    store.remove([gone])
    with pytest.raises(CacheError, match=f"cannot read the part {store.url}/{gone}"):
        closes(place)


# A store that is down, or fails now and then


def test_a_store_that_is_down_is_one_error_that_names_it(place, front, monkeypatch):
    place.run(*SPAN, tracked=TRACKED)
    front.requests.clear()
    front.script = always(SLOW_DOWN)
    tune(monkeypatch, store_waited_s=0.2)
    with pytest.raises(StoreUnavailable, match=place.archive):
        closes(place)
    for arguments in (("show", "T44", "--adjust", "none"), ("verify",), ("status",)):
        told = place.here(*arguments)
        assert (told.code, place.archive in told.err) == (5, True), (arguments, told)
        error = [line for line in told.err.splitlines() if line.startswith("error: ")]
        assert len(error) == 1
    ran = place.run(*SPAN, tracked=TRACKED, fails=StoreUnavailable)
    assert place.archive in str(ran.error)


def test_trouble_with_the_store_is_not_taken_for_damage(place, front, server, monkeypatch):
    """A correction whose stored parts cannot be read now is not one that repairs damage."""
    place.run(*SPAN, tracked=TRACKED)
    front.requests.clear()
    republish(server, DAYS[2], "66.5")
    front.script = lambda request: (
        SLOW_DOWN if kind_of(request) in {"get", "range"} and "day_aggs" in request.key else None
    )
    tune(monkeypatch, store_waited_s=0.2)
    place.run(*SPAN, tracked=TRACKED, fails=StoreUnavailable)
    assert (place.state(DAYS[2]), place.corrections()) == (("committed", "listed"), [])
    front.script = None
    assert place.run(*SPAN, tracked=TRACKED).finished.corrections == 1
    republish(server, DAYS[2], "45")


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 8))])
def test_with_a_fault_in_one_request_of_three_everything_is_complete_and_equal(place, front, server, tmp_path, seed):
    (tmp_path / "near").mkdir()
    near = Place(tmp_path / "near" / "cache", place.endpoint_url)
    front.script = one_in(3, seed)
    for price in ("50.5", "51.5"):
        republish(server, DAYS[3], price)
        for one in (near, place):
            one.run(*SPAN, tracked=TRACKED)
    assert closes(place) == closes(near)
    found = ingest.verify(config=place.config(), deep=True)
    assert (found.problems, found.sessions) == ((), len(DAYS))
    assert ingest.verify(config=place.config()).problems == ()
    asked, struck = len(front.requests), len(front.struck)
    front.script = None
    assert near.logical_manifest() == place.logical_manifest()
    assert (parts_of(near), csvs_of(near)) == (parts_of(place), csvs_of(place))
    assert struck * 5 > asked


def test_a_byte_that_flips_on_the_way_is_read_again(place, front, server):
    place.run(*SPAN, tracked=TRACKED)
    met, expected = set(), closes(place)

    def script(request):
        if kind_of(request) != "range" or request.key in met:
            return None
        met.add(request.key)
        return FlipByte(40)

    front.script = script
    assert closes(place) == expected
    assert len(front.struck) == len(DAYS)


# Keys that may not do all of it


def undeletable(request):
    return Status(403, "AccessDenied") if kind_of(request) == "delete" else None


def test_a_prune_whose_objects_may_not_be_deleted_stops_no_run_and_is_ended_later(place, front, store):
    place.run(*window(DAYS[:4]), tracked=TRACKED)
    front.script = undeletable
    told = place.here("prune", "--before", DAYS[2], "--yes")
    assert (told.code, "refuses the keys" in told.err) == (5, True)
    assert place.run(*window(DAYS[1:5]), tracked=TRACKED).committed == [DAYS[1], DAYS[4]]
    assert place.here("prune", "--before", DAYS[1], "--yes").code == 5, "it is not done"
    front.script = None
    assert place.run(*window(DAYS[1:5]), tracked=TRACKED).committed == []
    assert len(parts_of(place)) == 2 * len(DAYS[1:5]), "what was stored since stays"
    assert not [one.name for one in store.listing() if str(DAYS[0]) in one.name]


def test_a_move_does_not_wait_for_a_prune_whose_objects_may_not_be_deleted(place, front):
    place.run(*window(DAYS[:4]), tracked=TRACKED)
    front.script = undeletable
    assert place.here("prune", "--before", DAYS[2], "--yes").code == 5
    assert place.here("move", "--to", "local", "--yes").code == 0
    assert place.here("run", "--start", DAYS[2], "--end", DAYS[3], INGEST_CACHE__ARCHIVE="").code == 0


def test_a_prune_of_all_sessions_that_may_not_be_deleted_is_not_undone(place, front, store):
    place.run(*window(DAYS[:3]), tracked=TRACKED)
    front.script = undeletable
    assert place.here("prune", "--before", DAYS[4], "--yes").code == 5
    assert place.run(*window(DAYS[4:6]), tracked=TRACKED).committed == DAYS[4:6]
    assert len(parts_of(place)) == 2 * len(DAYS[4:6]), "the manifest was not taken for a lost one"
    front.script = None
    place.run(*window(DAYS[4:6]), tracked=TRACKED)
    assert not [one.name for one in store.listing() if any(str(day) in one.name for day in DAYS[:3])]
