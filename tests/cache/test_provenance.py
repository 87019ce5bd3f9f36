"""A cache has the files of one source: another source is refused by name, before anything is downloaded."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from pipeline_kit import Place, Wire, key, market_objects
from runs_kit import DAYS, SPAN

import ingest
from ingest.cache.manifest.file.migrations import MIGRATIONS
from ingest.demo.servers import loopback
from ingest.errors import Disrupted, IngestWarning, UsageError
from ingest.settings import SourceSettings


@pytest.fixture
def servers(loopback_keys):
    """The cache's source, and another market."""
    with loopback.serve(market_objects(DAYS)) as one, loopback.serve(market_objects(DAYS)) as other:
        yield one, other


@pytest.fixture
def place(servers, tmp_path):
    """A cache with all sessions but the last, which knows its source by endpoint and bucket."""
    filled = Place(tmp_path / "cache", servers[0].endpoint_url, source={"same_as": ""})
    filled.run(*(DAYS[0], DAYS[-2]))
    return filled


@pytest.fixture
def elsewhere(place, servers):
    """The same cache with the other source configured."""
    return replace(place, endpoint_url=servers[1].endpoint_url)


def take_back(manifest, version):
    """Replace a manifest with one of an older format that says the same."""
    older = manifest.with_name("older.sqlite")
    with closing(sqlite3.connect(older)) as db:
        db.executescript(f"{''.join(MIGRATIONS[:version])} PRAGMA user_version = {version};")
        db.execute("ATTACH ? AS newer", (str(manifest),))
        for (table,) in db.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
            known = {row[1] for row in db.execute(f"PRAGMA newer.table_info({table})")}
            both = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})") if row[1] in known)
            db.execute(f"INSERT INTO main.{table} ({both}) SELECT {both} FROM newer.{table}")
        db.commit()
    for path in (manifest, *manifest.parent.glob("manifest.sqlite-*")):
        path.unlink()
    older.rename(manifest)


def known(place):
    return place.query("SELECT name FROM source")


def asked(attempt):
    """The requests that an attempt made to any source."""
    wire = Wire()
    with wire.watching():
        told = attempt()
    return told, wire.sent


def test_another_source_is_refused_by_name_and_nothing_is_asked_of_it(place, elsewhere):
    before, name = (place.tiers(), place.logical_manifest()), f"{place.endpoint_url}/flatfiles"
    assert known(place) == [(name,)]
    ran = elsewhere.run(*SPAN, fails=UsageError)
    assert ran.wire.sent == []
    assert f"holds files of {name}, and [source] is {elsewhere.endpoint_url}/flatfiles" in str(ran.error)
    assert f'[source] same_as = "{name}"' in str(ran.error)
    assert (place.tiers(), place.logical_manifest()) == before
    assert place.run(*SPAN).gets == [DAYS[-1]]


def test_another_bucket_is_another_source(place):
    assert replace(place, bucket="another").run(*SPAN, fails=UsageError).wire.sent == []


@pytest.mark.parametrize(
    ("arguments", "code"), [(("run",), 2), (("run", "--dry-run"), 2), (("list",), 2), (("verify", "--repair"), 2)]
)
def test_each_command_that_would_ask_it_refuses(place, elsewhere, arguments, code):
    place.part(DAYS[1]).unlink()
    told, sent = asked(lambda: elsewhere.here(*arguments))
    assert (told.code, sent) == (code, [])
    assert "holds files of" in told.err


def test_check_reports_it(elsewhere):
    told = elsewhere.here("check")
    assert told.code != 0
    assert "holds files of" in told.out


def test_readers_download_nothing_from_it_and_say_why(place, elsewhere, tmp_path, monkeypatch):
    for name, value in elsewhere.environment().items():
        monkeypatch.setenv(name, value)

    def read():
        with pytest.warns(IngestWarning) as said:
            frame = ingest.get_smart_data(
                "AAPL", data_source="massive", start=DAYS[0], end=DAYS[-1] + timedelta(days=1), auto_adjust=False
            )
        return frame, [str(one.message) for one in said]

    (frame, said), sent = asked(read)
    assert sent == []
    assert any("downloading from Massive failed: the cache" in one and "holds files of" in one for one in said)
    assert [stamp.date() for stamp in frame.index] == DAYS[:-1]


def test_one_declared_the_same_is_accepted(place, elsewhere):
    same = replace(elsewhere, source={"same_as": f"{place.endpoint_url.upper()}/flatfiles/"})
    assert same.run(*SPAN).gets == [DAYS[-1]]
    assert known(place) == [(f"{place.endpoint_url}/flatfiles",)]


def test_a_cache_of_an_earlier_version_adopts_the_source_of_its_first_run(place, elsewhere):
    take_back(place.root / "manifest.sqlite", 7)
    assert place.run(*SPAN).finished.exit_code == 0
    assert known(place) == [(f"{place.endpoint_url}/flatfiles",)]
    elsewhere.run(*SPAN, fails=UsageError)


def test_a_rebuilt_manifest_knows_its_source_or_adopts_it(place, elsewhere):
    before = known(place)
    place.execute("UPDATE runs SET pid = 'x'")
    assert place.here("verify", "--repair").code == 0
    assert known(place) == before
    (place.root / "manifest.sqlite").unlink()
    place.run(*SPAN)
    assert known(place) == before
    elsewhere.run(*SPAN, fails=UsageError)


def test_a_source_that_never_answered_or_gave_nothing_can_be_replaced(servers, tmp_path):
    one, other = servers
    one.forbidden.update(key(day) for day in DAYS)
    wrong = Place(tmp_path / "new", "http://127.0.0.1:9", source={"same_as": "", "attempts": 1, "down_after_s": 1})
    wrong.run(*SPAN, fails=Disrupted)
    assert known(wrong) == []
    refusing = replace(wrong, endpoint_url=one.endpoint_url, source={"same_as": ""})
    assert refusing.run(*SPAN).finished.committed == 0
    right = replace(refusing, endpoint_url=other.endpoint_url)
    assert right.run(*SPAN).gets == DAYS
    assert known(right) == [(f"{other.endpoint_url}/flatfiles",)]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"endpoint_url": "https://FILES.massive.com/"},
        {"endpoint_url": "https://files.massive.com:443"},
        {"endpoint_url": "https://files.polygon.io"},
        {"endpoint_url": "https://mirror.example", "same_as": "https://files.polygon.io/flatfiles"},
    ],
)
def test_the_vendor_has_one_name_however_it_is_spelled(given):
    assert SourceSettings(**given).name == "https://files.massive.com/flatfiles"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"endpoint_url": "http://[::1]:9000", "bucket": "mine"}, "http://[::1]:9000/mine"),
        ({"endpoint_url": "https://files.massive.com:8443"}, "https://files.massive.com:8443/flatfiles"),
        ({"same_as": "ingest demo"}, "ingest demo"),
    ],
)
def test_other_sources_have_names_of_their_own(given, name):
    assert SourceSettings(**given).name == name
