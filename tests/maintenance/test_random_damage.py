"""Any damage to any files, then verify, repair and a run: the cache equals a fresh one, with nothing left to do."""

import random
import shutil
from pathlib import Path

import pytest
from pipeline_kit import TRACKED, Place, market_day, market_objects, window
from runs_kit import DAYS, SPAN

from ingest.demo.servers import loopback
from ingest.maintenance.verify import BROKEN, verify

LOGS = ("manifest.sqlite-wal", "manifest.sqlite-shm")
CURES = (
    (["verify"], ["verify", "--repair"], ["run", "--start", DAYS[0], "--end", DAYS[-1]]),
    (["run", "--start", DAYS[0], "--end", DAYS[-1]], ["verify", "--repair"], ["run"]),
    (["verify", "--repair", "--deep"], ["run", "--start", DAYS[0], "--end", DAYS[-1]]),
)


def files(place):
    return [path for path in sorted(place.root.rglob("*")) if path.is_file() and "lock" not in path.name]


def remove(rng, place, others):
    rng.choice(files(place)).unlink()


def flip(rng, place, others):
    path = rng.choice(files(place))
    data = bytearray(path.read_bytes())
    # Not the manifest's header: the number of a newer version is refused, however it got there.
    at = rng.randrange(100 if path.name == "manifest.sqlite" else 0, max(len(data), 101))
    if at < len(data):
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)


def cut(rng, place, others):
    path = rng.choice(files(place))
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size + 1)])


def swap(rng, place, others):
    one, other = rng.choice(files(place)), rng.choice(files(place))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def foreign_manifest(rng, place, others):
    """The manifest of an older state, or of a cache with another list."""
    for name in LOGS:
        (place.root / name).unlink(missing_ok=True)
    shutil.copy(rng.choice(others).root / "manifest.sqlite", place.root)


def foreign_parts(rng, place, others):
    other = rng.choice(others)
    for day in rng.sample(DAYS, 3):
        for tier in ("tracked", "archive"):
            if other.part(day, tier).exists():
                place.part(day, tier).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(other.part(day, tier), place.part(day, tier))


def folder(rng, place, others):
    shutil.rmtree(rng.choice([place.tracked, place.archive, place.tracked / "sessions"]), ignore_errors=True)


DAMAGE = (remove, flip, flip, cut, swap, foreign_manifest, foreign_parts, folder)


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """A whole cache, and two others: an older state of it, and one with another list and no archive."""
    top = tmp_path_factory.mktemp("damage")
    with loopback.serve(market_objects(DAYS)) as server, pytest.MonkeyPatch.context() as patch:
        keys = top / "credentials"
        keys.write_text("[massive]\naws_access_key_id = KEY\naws_secret_access_key = any\n")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
        whole, older, other = (Place(top / name, server.endpoint_url) for name in ("whole", "older", "other"))
        whole.run(*SPAN)
        older.run(*window(DAYS[:5]))
        other.run(*SPAN, tracked={"AAPL", "TRUE"}, save_others=False)
        yield whole, (older, other), top


def damaged_and_cured(caches, seed):
    whole, others, top = caches
    rng, place = random.Random(seed), Place(top / f"cache-{seed}", whole.endpoint_url)
    shutil.copytree(whole.root, place.root)
    deeds = [rng.choice(DAMAGE) for _ in range(rng.randint(1, 5))]
    for deed in deeds:
        if files(place):
            deed(rng, place, others)
    cure = rng.choice(CURES)
    codes = [place.here(*arguments).code for arguments in cure]
    assert set(codes) <= {0, 3, 5}, codes
    assert codes[-1] == 0, codes
    return place, [deed.__name__ for deed in deeds], cure


def check(caches, seed):
    whole, _, _ = caches
    place, deeds, cure = damaged_and_cured(caches, seed)
    try:
        found = verify(place.settings(), deep=True)
        assert [one for one in found.problems if one.kind in (*BROKEN, "gap")] == []
        assert all(place.reassembled(day) == market_day(day) for day in DAYS)
        assert csvs(place) == csvs(whole)
        assert place.run(*SPAN, tracked=TRACKED).gets == []
    except AssertionError as error:
        error.add_note(f"seed {seed}: {deeds}, then {cure}")
        raise
    shutil.rmtree(place.root)


def csvs(place):
    return {Path(name).name: data for name, data in place.tiers().items() if name.endswith("_1d_data.csv")}


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_cache_is_mended(caches, seed):
    check(caches, seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_damaged_caches_are_mended(caches):
    for seed in range(1000, 1300):
        check(caches, seed)
