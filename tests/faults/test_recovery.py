"""What a replacement that was broken off may leave beside its intent, and what the next run makes of it."""

import hashlib
import shutil

import pytest
from pipeline_kit import Place, key, market_day
from runs_kit import DAYS, SPAN
from tuning_kit import tune

from ingest.cache.parts.local import LocalParts
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import CacheError
from ingest.files import durable
from ingest.maintenance.verify import verify

pytestmark = pytest.mark.usefixtures("loopback_keys")

DAY = DAYS[1]
HELD = market_day(DAY)
ROW = HELD.splitlines()[-1]
CHANGED = HELD.replace(b"\nAAPL,", b"\nAAPL,9").replace(ROW, ROW.replace(b",", b",9", 1))


@pytest.fixture
def server():
    with loopback.serve({key(day): pack(market_day(day)) for day in DAYS[:3]}) as running:
        yield running


@pytest.fixture
def place(server, tmp_path):
    found = Place(tmp_path / "cache", server.endpoint_url)
    found.run(*SPAN)
    return found


def broken_off(place, server, published):
    """A run that fails after so many parts of a replacement have got their names; the parts that are still staged."""
    server.put(key(DAY), pack(CHANGED))
    with pytest.MonkeyPatch.context() as patched:
        publish, left = durable.publish, [published]

        def failing(path, *more):
            if not left[0]:
                raise CacheError(f"cannot replace {path}")
            left[0] -= 1
            publish(path, *more)

        patched.setattr(durable, "publish", failing)
        place.run(*SPAN, fails=CacheError)
    assert len(place.query("SELECT * FROM intents")) == 1
    folders = (place.part(DAY).parent, place.part(DAY, "archive").parent)
    found = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    return [
        path for path in found if path not in {place.part(day, tier) for day in DAYS for tier in ("tracked", "archive")}
    ]


def spoiled(paths, how):
    for path in paths:
        match how:
            case "flipped":
                data = path.read_bytes()
                path.write_bytes(data[:-30] + bytes([data[-30] ^ 1]) + data[-29:])
            case "gone":
                path.unlink()


def assert_holds(place, text):
    assert place.query("SELECT * FROM intents") == []
    assert place.reassembled(DAY) == text
    assert place.query("SELECT text_sha256 FROM sessions WHERE session = ?", str(DAY)) == [
        (hashlib.sha256(text).hexdigest(),)
    ]
    assert verify(place.settings(), deep=True).problems == ()
    assert list(place.root.rglob("*.tmp")) == []


@pytest.mark.parametrize("how", ["flipped", "gone"])
@pytest.mark.parametrize("published", [0, 1])
def test_staged_parts_that_are_not_what_was_intended_are_fetched_again(place, server, published, how):
    staged = broken_off(place, server, published)
    assert len(staged) == 2 - published
    spoiled(staged[-1:], how)
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code) == ([DAY], 0)
    assert_holds(place, CHANGED)
    assert place.run(*SPAN).gets == []


@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_half_a_replacement_that_the_vendor_took_back_is_no_held_session(place, server, how):
    """The listing has the very ETag again that is held; one of the parts is the withdrawn file's."""
    spoiled(broken_off(place, server, published=1), how)
    server.put(key(DAY), pack(HELD))
    ran = place.run(*SPAN)
    assert (ran.gets, ran.finished.exit_code) == ([DAY], 0)
    assert_holds(place, HELD)
    assert place.run(*SPAN).gets == []


@pytest.mark.parametrize("is_large", [False, True])
def test_a_refused_file_is_quarantined_only_when_its_bytes_are_kept(place, server, monkeypatch, is_large):
    if is_large:
        tune(monkeypatch, large=1)
    server.put(key(DAY), b"<html>maintenance</html>")
    kept = place.root / "quarantine" / f"{DAY}.csv.gz"
    (kept / "in the way").mkdir(parents=True)
    place.run(*SPAN, fails=CacheError)
    assert place.query("SELECT * FROM quarantine") == []
    assert (place.state(DAY), place.reassembled(DAY)) == (("committed", "listed"), HELD)
    shutil.rmtree(kept)
    assert place.run(*SPAN).finished.exit_code == 3
    assert kept.read_bytes() == b"<html>maintenance</html>"
    assert place.query("SELECT session FROM quarantine") == [(str(DAY),)]


def test_what_a_run_left_that_was_broken_off_is_looked_for_once(place, server, monkeypatch):
    broken_off(place, server, published=1)
    swept, sweep = [], LocalParts.sweep
    monkeypatch.setattr(LocalParts, "sweep", lambda parts: swept.append(parts) or sweep(parts))
    assert place.run(*SPAN).gets == []
    assert len(swept) == 1
    assert_holds(place, CHANGED)
