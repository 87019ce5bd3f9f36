"""A machine is gone: its cache is restored on a new one from the bucket, and the vendor is asked for nothing."""

import hashlib
import json
import platform
from concurrent.futures import ThreadPoolExecutor

import pytest
from kills import Killed
from machines_kit import GUARD, POINTER, Machine
from pipeline_kit import key, market_day, window
from runs_kit import DAYS, dates
from tuning_kit import tune

from ingest import events
from ingest.cache import rebuild
from ingest.cache.manifest.integrity import replacement
from ingest.cache.objects.writing.guard import Guarding
from ingest.cache.objects.writing.snapshots import Snapshots
from ingest.cache.objects.writing.writer import Writer
from ingest.demo.files.market import pack
from ingest.errors import OtherWriter
from ingest.market.tickers import file_stem

pytestmark = pytest.mark.usefixtures("loopback_keys")


@pytest.fixture
def gone(server, store, tmp_path):
    """A machine that has run, and is gone but for what its test wants of it."""
    machine = Machine(tmp_path / "gone", server.endpoint_url, store=store)
    machine.run(*window(DAYS[:4]))
    return machine


@pytest.fixture
def new(gone):
    return gone.another("new")


def answers(machine):
    """What a cache answers: its CSVs, and what its manifest says."""
    logical = machine.logical_manifest()
    del logical["projections"]
    return {ticker: machine.csv(ticker) for ticker in ("AAPL", "BRK.B", "TRUE")}, logical


def killed(*_, **__):
    raise Killed


def unnoticed(machine, monkeypatch, days):
    """A run that is killed before it stores its snapshot."""
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "snapshot", killed)
        with pytest.raises(Killed):
            machine.run(*window(days))


def damage(machine, name):
    """Flip a byte in the middle of an object."""
    data = bytearray(machine.store.get(name)[0])
    data[len(data) // 2] ^= 0xFF
    machine.store.remove([name])
    machine.store.put_new(name, bytes(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def silent(server):
    """Nothing may be asked of the vendor by `restore`."""

    def restored(machine, *flags):
        before = len(server.requests)
        told = machine.here("restore", *flags)
        assert len(server.requests) == before
        return told

    return restored


def test_gives_the_same_answers_and_asks_the_vendor_for_nothing(gone, new, server, silent):
    for day, text in ((DAYS[1], market_day(DAYS[1]).replace(b"AAPL,", b"AAPL,1")), (DAYS[2], b"nothing")):
        server.objects[key(day)] = pack(text)
    gone.run(*window(DAYS[:4]))
    told = silent(new, "--yes")
    assert told.code == 0, told.err
    assert answers(new) == answers(gone)
    assert (len(new.corrections()), len(answers(new)[1]["quarantine"])) == (1, 1)
    assert f"belongs to the cache of {platform.node()}, which has written to it since" in told.out
    assert "4 sessions restored. This machine writes to s3://flatfiles/" in told.out
    assert "The bytes of 1 refused file were on the other machine: `ingest quarantine retry`" in told.out
    assert new.run(*window(DAYS[:5])).committed == [DAYS[4]]
    assert new.told(GUARD)["generation"] == 2


def test_the_most_traded_tickers_are_followed_on_the_new_machine_at_once(gone, new):
    told = new.here("restore", "--yes", INGEST_TRACKED__TICKERS='["@top:3"]')
    assert (told.code, told.err) == (0, "")
    top = [json.loads(line)["ticker"] for line in gone.here("tickers", "--top", "3", "--json").out.splitlines()]
    assert len(top) == 3
    assert all(new.csv(file_stem(name)) for name in top)
    assert len(list(new.tracked.glob("*.csv"))) == 3


def test_refuses_the_former_machine_by_name(gone, new, silent):
    silent(new, "--yes")
    before = new.objects()
    ran = gone.run(*window(DAYS[:5]), fails=OtherWriter)
    assert f"was taken over by {platform.node()} at {new.told(GUARD)['since']}" in str(ran.error)
    assert (ran.error.exit_code, gone.stored(), new.objects()) == (6, dates(DAYS[:4]), before)


def test_stops_the_former_machine_in_the_middle_of_a_run(gone, new, monkeypatch):
    tune(monkeypatch, snapshot_every_s=0.0, max_batch=1, gather_s=0.0)

    def meanwhile(event):
        if isinstance(event, events.Planned):
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(new.here, "restore", "--yes").result().code == 0

    ran = gone.run(*window(DAYS), sink=meanwhile, fails=OtherWriter)
    assert f"{platform.node()} wrote to s3://" in str(ran.error)
    assert (len(gone.stored()), new.stored()) == (5, dates(DAYS[:4]))


def test_takes_up_sessions_that_are_newer_than_the_snapshot(gone, new, monkeypatch, silent):
    unnoticed(gone, monkeypatch, DAYS[:6])
    told = silent(new, "--yes", "--json")
    restored = json.loads(told.out.splitlines()[-1])
    assert (restored["kind"], restored["sessions"], restored["newer"], restored["missing"]) == ("restored", 6, 2, 0)
    assert answers(new) == answers(gone)
    assert new.run(*window(DAYS[:6])).gets == []


def test_without_a_snapshot_says_what_is_not_restored(gone, new, silent):
    gone.store.remove([name for name in gone.objects() if name.startswith("manifest/")])
    told = silent(new, "--yes")
    assert "there is no snapshot in s3://" in told.err
    assert "corrections, Yahoo's rows and what was known of refused files are not" in told.err
    assert answers(new) == answers(gone)


@pytest.mark.long
def test_with_nothing_but_parts_belongs_to_nobody(gone, new, silent):
    gone.store.remove([name for name in gone.objects() if name.endswith((".json", ".z"))])
    told = silent(new, "--yes")
    assert "does not say whose it is" in told.out
    assert (answers(new), new.told(GUARD)["generation"]) == (answers(gone), 1)


@pytest.mark.parametrize("all_of_them", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_damaged_snapshot_is_named_and_the_one_before_it_used(gone, new, silent, all_of_them):
    gone.run(*window(DAYS[:6]))
    older, newest = gone.snapshots()
    for name in (older, newest) if all_of_them else (newest,):
        damage(gone, name)
    told = silent(new, "--yes", "--json")
    restored = json.loads(told.out.splitlines()[-1])
    assert f"the snapshot {gone.store.described(newest)} cannot be used (it cannot be unpacked" in told.err
    assert restored["snapshot"] == ("" if all_of_them else older)
    assert (restored["sessions"], restored["newer"]) == (6, 6 if all_of_them else 2)
    assert answers(new) == answers(gone)


def test_a_machine_whose_clock_is_behind_the_former_ones_stores_newer_snapshots(gone, new):
    (name,) = gone.snapshots()
    data = gone.store.get(name)[0]
    ahead = [f"manifest/2099010{number}T000000.000000Z-{number}.sqlite.z" for number in range(1, 10)]
    ahead += [f"manifest/2098010{number}T000000.000000Z-{number}.sqlite.z" for number in range(1, 6)]
    for one in ahead:
        gone.store.put_new(one, data, hashlib.sha256(data).hexdigest())
    assert new.here("restore", "--yes").code == 0
    for number in (5, 6):
        new.run(*window(DAYS[:number]))
    assert new.told(POINTER)["snapshot"] == new.snapshots()[-1]
    assert len(new.snapshots()) == 14
    before, newest = new.snapshots()[-2:]
    damage(new, newest)
    told = new.another("third").here("restore", "--yes", "--json")
    assert json.loads(told.out.splitlines()[-1])["snapshot"] == before
    assert before > max(ahead)


def test_a_snapshot_that_the_former_machine_stores_meanwhile_is_the_one_restored(gone, new, monkeypatch):
    take_over, runs = Guarding.take_over, []

    def meanwhile(guarding, seen):
        if not runs:
            runs.append(gone.run(*window(DAYS[:5])))
        take_over(guarding, seen)

    monkeypatch.setattr(Guarding, "take_over", meanwhile)
    assert new.here("restore", "--yes").code == 0
    assert answers(new) == answers(gone)


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("where", "what"),
    [
        (Guarding, "take_over"),
        (Snapshots, "take_over"),
        (replacement, "put_in_place"),
        (rebuild, "take_up"),
    ],
)
def test_killed_anywhere_it_can_be_done_again(gone, new, monkeypatch, where, what, after):
    original = getattr(where, what)

    def dying(*given, **named):
        if after:
            original(*given, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, what, dying)
        with pytest.raises(Killed):
            new.here("restore", "--yes")
    if not new.is_held():
        assert new.here("restore", "--yes").code == 0
    new.run(*window(DAYS[:4]))
    assert answers(new) == answers(gone)
    gone.run(*window(DAYS[:4]), fails=OtherWriter)


def test_tracked_parts_that_were_local_are_downloaded_again_by_the_next_run(server, store, tmp_path):
    gone = Machine(tmp_path / "gone", server.endpoint_url, store=store, tiers="archive")
    gone.run(*window(DAYS[:3]))
    new = gone.another("new")
    told = new.here("restore", "--yes")
    assert told.code == 0, told.err
    assert "A part is missing of 3 sessions: the next `ingest run` downloads them again" in told.out
    assert new.run(*window(DAYS[:3])).committed == DAYS[:3]
    assert answers(new)[0] == answers(gone)[0]


class TestIsRefused:
    def test_without_consent(self, gone, new):
        before = gone.objects()
        told = new.here("restore")
        assert told.code == 2
        assert "Nothing was changed. Use `--yes` to take it over" in told.err
        assert (gone.objects(), new.root.exists()) == (before, False)

    def test_over_sessions_that_are_here(self, gone):
        before = gone.objects()
        told = gone.here("restore", "--yes")
        assert (told.code, "has sessions of its own" in told.err, gone.objects()) == (2, True, before)

    def test_where_nothing_was_stored(self, gone, new):
        gone.store.remove(list(gone.objects()))
        told = new.here("restore", "--yes")
        assert (told.code, "there is nothing to restore in s3://" in told.err) == (5, True)

    def test_without_an_object_store(self, new):
        told = new.here("restore", "--yes", INGEST_CACHE__ARCHIVE="")
        assert (told.code, "set [cache] archive" in told.err) == (2, True)


def test_after_its_own_manifest_was_deleted_a_machine_is_told_to_restore(gone, silent):
    before = answers(gone)
    (gone.root / "manifest.sqlite").unlink()
    told = gone.here("run", "--start", DAYS[0], "--end", DAYS[3])
    assert (told.code, "`ingest restore` if that machine or its manifest is gone" in told.err) == (6, True)
    assert silent(gone, "--yes").code == 0
    assert answers(gone) == before
    assert gone.run(*window(DAYS[:4])).gets == []
