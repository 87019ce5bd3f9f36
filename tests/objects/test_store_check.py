"""`ingest check` tries the object store: what it says of good ones and of others, and that it leaves nothing behind."""

import json
import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pipeline_kit import Place
from store_faults import in_front_of, kind_of, one_in
from store_kit import keys_in_environment, place
from tuning_kit import tune

from ingest.cache.manifest import Manifest
from ingest.cache.objects.bucket import Bucket
from ingest.cache.objects.writing.guard import Guarding
from ingest.demo.servers import loopback
from ingest.demo.servers.faults import Headers, Status
from ingest.demo.servers.seaweed import identity
from ingest.maintenance.store_check import store_checks
from ingest.market.catalogue import STOCKS_DAY
from ingest.settings import CacheSettings, Settings
from ingest.settings.sections.store import Store

NAMES = ["store", "writer", "create", "again", "swap", "range", "list", "time", "remove"]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    tune(monkeypatch, store_wait_first_s=0.01, store_wait_longest_s=0.02)


@pytest.fixture
def front(store):
    with in_front_of(store.endpoint) as front:
        yield front


def tried(store: Bucket, endpoint: str = ""):
    """The results by name, in their order."""
    chosen = Settings(cache=CacheSettings(archive=store.url), store=Store(endpoint=endpoint or store.endpoint))
    return {one.name: one for one in store_checks(chosen)}


def failing(found):
    return [name for name, one in found.items() if not one.passed]


def test_a_good_store_does_all_of_it_and_is_left_as_it_was(store):
    found = tried(store)
    assert (list(found), failing(found)) == (NAMES, [])
    assert list(store.listing()) == []


@pytest.mark.parametrize("seed", range(3))
def test_nor_does_one_that_fails_at_times(store, front, seed):
    front.script = one_in(3, seed)
    assert failing(tried(store, front.endpoint)) == []
    assert list(store.listing()) == []


@pytest.mark.parametrize(
    ("heedless", "failed"), [("if-none-match", ["again"]), ("if-match", ["swap"]), ("both", ["again", "swap"])]
)
def test_one_without_conditions_cannot_tell_two_coordinators_apart(store, monkeypatch, heedless, failed):
    put = Bucket._put

    def unconditional(self, name, data, mode):
        heeded = "if-match" if isinstance(mode, dict) else "if-none-match"
        return put(self, name, data, mode if heedless not in (heeded, "both") else "overwrite")

    monkeypatch.setattr(Bucket, "_put", unconditional)
    found = tried(store)
    assert failing(found) == failed
    for name in failed:
        assert not found[name].needed
        assert "two coordinators cannot be told apart" in found[name].advice
    assert list(store.listing()) == []


def test_keys_that_are_refused(store, monkeypatch):
    keys_in_environment(monkeypatch, identity("stranger"))
    found = tried(place(store.endpoint, "refused"))
    assert failing(found) == list(found) == ["store"]
    assert "refuses the keys" in found["store"].found


def test_keys_that_may_not_write(seaweed, store, monkeypatch):
    keys_in_environment(monkeypatch, seaweed.reader())
    found = tried(place(store.endpoint, "reading"))
    assert failing(found) == ["create", "remove"]
    assert "AccessDenied" in found["create"].found
    assert "read, write and delete" in found["create"].advice


def test_a_place_to_which_another_cache_writes_is_named_as_a_run_would(store, tmp_path):
    with Manifest.open(tmp_path / "other.sqlite", STOCKS_DAY.name) as manifest:
        Guarding(store, manifest.identity).claim()
    found = tried(store)
    assert failing(found) == ["writer"]
    assert "belongs to another cache" in found["writer"].found
    assert found["writer"].exit_code == 6


def test_no_server(store, monkeypatch):
    tune(monkeypatch, store_waited_s=0.1)
    found = tried(store, "http://127.0.0.1:9")
    assert failing(found) == list(found) == ["store"]
    assert "Connection refused" in found["store"].found


def test_a_step_that_fails_is_the_last_and_nothing_stays(store, front, monkeypatch):
    tune(monkeypatch, store_waited_s=0.1)
    front.script = lambda request: Status(503, "SlowDown") if kind_of(request) == "range" else None
    found = tried(store, front.endpoint)
    assert list(found) == [*NAMES[: NAMES.index("range") + 1], "remove"]
    assert failing(found) == ["range"]
    assert list(store.listing()) == []


def test_a_clock_that_is_off_is_told(store, front):
    later = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    late = Headers((("Last-Modified", later),))
    front.script = lambda request: late if kind_of(request) == "head" else None
    found = tried(store, front.endpoint)
    assert failing(found) == ["time"]
    assert not found["time"].needed
    assert found["time"].found.startswith("this computer's clock and the store's are 7")


@pytest.mark.parametrize("output", [[], ["--json"]])
def test_the_command_says_each_of_them(store, loopback_keys, tmp_path, output):
    chosen = {"INGEST_CACHE__ARCHIVE": store.url, "INGEST_STORE__ENDPOINT": store.endpoint}
    keys = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    with loopback.serve({}) as source:
        told = Place(tmp_path / "cache", source.endpoint_url).here("check", *output, **chosen, **keys)
    if output:
        records = [json.loads(line) for line in told.out.splitlines()]
        assert [one["name"] for one in records][2 : 2 + len(NAMES)] == NAMES
        assert {one["passed"] for one in records if one["name"] in NAMES} == {True}
    else:
        for name in NAMES:
            assert f"pass  {name} " in told.out
    assert not any(key in told.out + told.err for key in keys.values())


def test_a_store_that_is_down_ends_the_command_as_it_would_end_a_run(store, loopback_keys, tmp_path, monkeypatch):
    tune(monkeypatch, store_waited_s=0.1)
    chosen = {"INGEST_CACHE__ARCHIVE": store.url, "INGEST_STORE__ENDPOINT": "http://127.0.0.1:9"}
    with loopback.serve({}) as source:
        place = Place(tmp_path / "cache", source.endpoint_url)
        assert place.here("check", **chosen).code == 5
        assert place.here("check", **chosen | {"INGEST_STORE__ENDPOINT": store.endpoint}).code == 4
        assert place.here("run", "--start", "2025-03-03", "--end", "2025-03-03", **chosen).code == 5
