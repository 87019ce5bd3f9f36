"""A cache with its parts in a bucket answers as one with its parts in folders: one story, lived through by both."""

import json
from dataclasses import replace

import polars as pl
import pytest
from bucket_kit import (
    DATASETS,
    DAYS,
    MINUTES,
    OPTIONS,
    SPAN,
    STORY,
    BucketPlace,
    csvs_of,
    live,
    objects,
    parts_of,
    said,
)
from pipeline_kit import Place

import ingest
from ingest.demo.servers import loopback
from ingest.market.catalogue import STOCKS_DAY

LONG = pytest.mark.long
SHORT = ("days", "corrections", "without others", "grown")


def lived(seaweed, folder, tiers, steps, name):
    """Three places that have lived through the story; one is in folders."""
    with loopback.serve(objects()) as server:
        for one in ("local", *tiers):
            (folder / one).mkdir()
        url = f"s3://flatfiles/{name}"
        places = [Place(folder / "local" / "cache", server.endpoint_url)]
        for one in tiers:
            root, store = folder / one / "cache", seaweed.endpoint_url
            places.append(BucketPlace(root, server.endpoint_url, archive=f"{url}-{one}", store=store, tiers=one))
        live(server, places, steps)
        yield places


@pytest.fixture(scope="module")
def some(seaweed, patch, tmp_path_factory):
    steps = [step for step in STORY if step.name in SHORT]
    yield from lived(seaweed, tmp_path_factory.mktemp("some"), ("both",), steps, "some")


@pytest.fixture(scope="module")
def whole(seaweed, patch, tmp_path_factory):
    yield from lived(seaweed, tmp_path_factory.mktemp("whole"), ("both", "archive"), STORY, "whole")


@pytest.fixture(params=["some", pytest.param("whole", marks=LONG)])
def places(request):
    """A local cache, and others that lived through the same, or through more of it."""
    return request.getfixturevalue(request.param)


def same(places, answer):
    local, *others = (answer(place) for place in places)
    assert local
    for other in others:
        assert other == local
    return local


def test_records_parts_and_csvs_are_equal(places):
    same(places, lambda place: place.logical_manifest())
    for dataset in DATASETS if len(places) > 2 else (STOCKS_DAY,):
        same(places, lambda place, one=dataset: parts_of(replace(place, dataset=one)))
        same(places, lambda place, one=dataset: csvs_of(replace(place, dataset=one)))


def test_no_part_is_on_the_local_disk(places):
    for place in places[1:]:
        local = {path.parent.name for path in place.root.rglob("*.csv.gz")} - {"quarantine"}
        assert local == (set() if place.tiers == "both" else {"sessions"})
        assert not list(place.root.rglob("*.tmp"))


CALLS = {
    "history": lambda config: ingest.history(["AAPL", "T05", "T44"], config=config, adjust="none"),
    "day": lambda config: ingest.day(DAYS[1], config=config),
    "scan": lambda config: (
        ingest.scan(config=config).filter(pl.col("ticker").is_in(["T03", "AAPL"])).collect().sort("date", "ticker")
    ),
    "a whole scan": lambda config: ingest.scan(config=config).collect().sort("date", "ticker"),
    "panel": lambda config: ingest.panel(["T05", "AAPL"], config=config, adjust="none").reset_index(),
}


@pytest.mark.filterwarnings("ignore::ingest.errors.IngestWarning")
@pytest.mark.parametrize("name", CALLS)
def test_functions_return_the_same(name, places):
    same(places, lambda place: str(CALLS[name](place.config(tickers=["AAPL"])).to_dict()))


EQUAL = (
    ("show", "T05", "--start", DAYS[0], "--end", DAYS[-1], "--adjust", "none"),
    ("corrections", "--json"),
    ("findings", "--json"),
    ("quarantine", "list"),
    ("quarantine", "show", DAYS[3]),
    ("export", "AAPL", "T07", "--out", "files"),
    ("run", "-n", "--start", DAYS[0], "--end", DAYS[-1]),
)
_OF_MINUTES = ("-d", "stocks-minute", "--start", DAYS[0], "--end", DAYS[2])
MORE = (
    ("list", "--start", DAYS[0], "--end", DAYS[-1]),
    ("track", "list", "--json"),
    ("show", "MSFT", "-i", "5m", *_OF_MINUTES),
    ("show", "MSFT", "--adjust", "none", *_OF_MINUTES),
    ("findings", "-d", "options-day", "--json"),
    ("corrections", "-d", "stocks-minute", "--json"),
)


@pytest.mark.parametrize("arguments", EQUAL, ids=lambda one: one[0])
def test_commands_say_the_same(arguments, places):
    assert same(places, lambda place: said(place, *arguments))[0] == 0


@LONG
@pytest.mark.parametrize("arguments", MORE, ids=" ".join(map(str, range(6))).split())
def test_commands_say_the_same_of_other_datasets(arguments, whole):
    assert same(whole, lambda place: said(place, *arguments))[0] == 0


@pytest.mark.parametrize("deep", [[], ["--deep"]], ids=["", "deep"])
def test_verify_finds_the_same_and_says_what_waits(deep, places):
    def answer(place):
        told = place.here("verify", "-d", "stocks-day", "--json", *deep)
        (found,) = map(json.loads, told.out.splitlines())
        waits = [note for note in found["notes"] if "to be removed" in note]
        assert bool(waits) is isinstance(place, BucketPlace), waits
        assert bool(found["listed"]) is (isinstance(place, BucketPlace) and not deep)
        kept = {name: value for name, value in found.items() if name not in {"time", "root", "notes", "listed"}}
        return told.code, kept, [note for note in found["notes"] if note not in waits]

    code, found, _ = same(places, answer)
    assert (code, found["ok"], found["sessions"] > 0) == (0, True, True)


def test_status_tells_where_the_parts_are_and_which_wait_to_be_removed(places):
    def answer(place):
        found = ingest.status(config=place.config())
        tiers = {one.name: (one.files, one.bytes, one.path) for one in found.tiers}
        for tier in ("tracked", "archive"):
            replaced = tiers.pop(f"replaced {tier} parts", None)
            *sizes, path = tiers[f"{tier} parts"]
            if isinstance(place, BucketPlace) and (place.tiers == "both" or tier == "archive"):
                assert path == f"{place.archive}/{tier}/{STOCKS_DAY.name}" == replaced[2]
            else:
                assert path.startswith(str(place.root))
                assert not replaced
            tiers[f"{tier} parts"] = sizes
        tiers["tracked CSVs"] = tiers["tracked CSVs"][:2]
        refused = [replace(one, at="", dismissed=bool(one.dismissed)) for one in found.quarantine]
        return tiers, refused, replace(found, root="", tiers=(), runs=(), permission_asked_at="", quarantine=())

    same(places, answer)


CHANGES = (
    ("track", "add", "T02", "T03"),
    ("track", "remove", "T02"),
    ("quarantine", "dismiss", DAYS[3]),
    ("quarantine", "retry", DAYS[3]),
    ("verify", "--repair"),
    ("prune", "--before", DAYS[1], "--untracked", "--yes"),
    ("verify",),
)


def test_commands_that_write_do_the_same(places, tmp_path):
    for place in places:
        (place.root.parent / "stocks.txt").write_text("AAPL\nTRUE\nBRK.B\nT1*\n")
        (place.root.parent / "stocks-minute.txt").write_text("AAPL\n")
        (place.root.parent / "options-day.txt").write_text("O:AAA*\n")
    listed = {"INGEST_TRACKED__LISTS": '["stocks.txt"]', "INGEST_TRACKED__TICKERS": "[]"}
    for arguments in CHANGES:
        code = same(places, lambda place, given=arguments: place.here(*given, **listed).code + 1) - 1
        assert code == (3 if "retry" in arguments else 0), arguments
        same(places, lambda place: place.logical_manifest())
        same(places, csvs_of)
    left = same(places, parts_of)
    assert min(left)[0] == DAYS[1]
    for place in places[1:]:
        assert not [one for one in _objects(place) if str(DAYS[0]) in one and STOCKS_DAY.name in one]


def _objects(place):
    from ingest.cache.objects.bucket import Bucket

    return [one.name for one in Bucket.of(place.settings()).listing()]


@LONG
@pytest.mark.parametrize("dataset", [MINUTES, OPTIONS], ids=lambda one: one.short)
def test_other_datasets_verify(dataset, whole):
    for place in whole:
        told = place.here("verify", "-d", dataset.short, "--deep", "--json")
        assert (told.code, json.loads(told.out)["problems"]) == (0, [])


@pytest.mark.long
def test_a_cache_in_a_bucket_adopts_another_one(whole, seaweed, tmp_path):
    theirs = whole[0].root / "massive_cache"
    (tmp_path / "mine").mkdir()
    assert SPAN
    local = Place(tmp_path / "mine" / "local", whole[0].endpoint_url)
    far = BucketPlace(
        tmp_path / "mine" / "far", local.endpoint_url, archive="s3://flatfiles/adopted", store=seaweed.endpoint_url
    )
    codes = [place.here("adopt", theirs).code for place in (local, far)]
    assert codes[0] == codes[1]
    same([local, far], lambda place: place.logical_manifest())
    assert parts_of(local) == parts_of(far)
