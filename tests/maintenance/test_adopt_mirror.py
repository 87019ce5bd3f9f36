"""Adopting a mirror of the bucket: the cache is that that a run makes of the same files, and it stays as it is."""

import gzip
import json
import os
from dataclasses import replace
from datetime import date

import pytest
from pipeline_kit import Place, key, packed_day, trading_days
from tuning_kit import tune

from ingest.demo.files.files import files_of
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.maintenance.verify import verify
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_DAY, named

KINDS = [named(name) for name in ("stocks-day", "stocks-minute", "options-day", "futures-cme-minute", "crypto-day")]
SPAN = date(2026, 2, 19), date(2026, 2, 23)
DAYS = trading_days(date(2025, 3, 3), 3)


def texts_of(dataset):
    files = files_of(dataset, 20)
    files.maker.tape = replace(files.maker.tape, busy=files.maker.tape.busy / 100)
    return {day: files.text(day) for day in Calendar.of(dataset.calendar).between(*SPAN)}


@pytest.fixture(scope="module")
def texts():
    return {one.short: texts_of(one) for one in KINDS}


@pytest.fixture
def objects(texts):
    return {one.key(day): pack(text) for one in KINDS for day, text in texts[one.short].items()}


@pytest.fixture
def server(objects, loopback_keys):
    with loopback.serve(objects) as running:
        yield running


@pytest.fixture
def place(tmp_path, server):
    return Place(tmp_path / "adopted", server.endpoint_url)


@pytest.fixture
def mirror(tmp_path, objects):
    return lay(tmp_path / "mirror", objects)


def lay(top, objects):
    """A mirror as `aws s3 sync` leaves it."""
    for name, data in objects.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return top


def stocks(top, days=DAYS, name=key):
    return lay(top, {name(day): packed_day(day) for day in days})


def state(top):
    """Every name in a tree, with bytes, inode and time of change."""
    files = [path for path in sorted(top.rglob("*")) if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def adopt(place, *arguments, **environment):
    """Verdicts by path; the folder stays as it is."""
    before = state(arguments[0])
    done = place.here("adopt", *arguments, "--json", **environment)
    assert state(arguments[0]) == before
    lines = map(json.loads, done.out.splitlines())
    return done.code, {line["path"]: line for line in lines if line["kind"] == "adoption"}, done.err


def verdicts(found):
    return {path.rpartition("/")[2]: line["verdict"] for path, line in found.items()}


def files_in(root):
    tiers = [path for name in ("data_cache", "massive_cache") for path in sorted((root / name).rglob("*"))]
    return {str(path.relative_to(root)): path.read_bytes() for path in tiers if path.is_file()}


def tracked(texts):
    """The first three tickers of each dataset's first file, each on a list of its own dataset."""
    names = {}
    for one in KINDS:
        lines = next(iter(texts[one.short].values())).splitlines()[1:]
        names[one.short] = list(dict.fromkeys(line.split(b",")[0].decode() for line in lines))[:3]
    return names


def write_lists(folder, texts):
    for short, tickers in tracked(texts).items():
        (folder / f"{short}.txt").write_text("\n".join([*tickers, ""]))


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_a_mirror_makes_the_cache_that_a_run_makes_of_the_same_files(
    place, mirror, texts, tmp_path, large, monkeypatch
):
    if large:
        shrink(monkeypatch)
    lists = {one.short: [str(tmp_path / f"{one.short}.txt")] for one in KINDS}
    write_lists(tmp_path, texts)
    environment = {
        "INGEST_TRACKED__TICKERS": "[]",
        "INGEST_TRACKED__LISTS": json.dumps(lists.pop("stocks-day")),
        "INGEST_TRACKED__DATASETS": json.dumps(lists),
    }
    code, found, err = adopt(place, mirror, **environment)
    assert (code, err, {one["verdict"] for one in found.values()}) == (0, "", {"adopted"})
    other = Place(tmp_path / "run", place.endpoint_url)
    flags = [part for one in KINDS for part in ("-d", one.short)]
    window = ("--start", SPAN[0], "--end", SPAN[1])
    assert other.here("run", *flags, *window, "--quiet", **environment).code == 0
    mine, theirs = files_in(place.root), files_in(other.root)
    assert sorted(mine) == sorted(theirs)
    assert [name for name in mine if mine[name] != theirs[name]] == []
    assert len([name for name in mine if "/sessions/" in name]) == len(found)
    for table in ("sessions", "members", "projections", "findings", "corrections"):
        assert told(place, table) == told(other, table), table
    for dataset in KINDS:
        assert verify(place.settings(), deep=True, dataset=dataset).problems == ()


def told(place, table):
    """The rows of a table that do not depend on when and how files came."""
    sets = dict(place.query("SELECT id, tickers FROM tracked_sets"))
    columns = [row[1] for row in place.query(f"PRAGMA table_info({table})")]
    left = {"run", "committed_at", "remote_etag", "reason", "last_modified", "mtime_ns", "size", "tracked_set"}
    kept = [name for name in columns if name not in left]
    rows = place.query(f"SELECT {', '.join(kept)} FROM {table} ORDER BY 1, 2, 3")
    if "tracked_set" in columns:
        rows += [
            sets[number] for (number,) in place.query(f"SELECT tracked_set FROM {table} ORDER BY dataset, session")
        ]
    return rows


def test_the_next_run_downloads_only_what_differs_from_the_source(tmp_path, loopback_keys):
    mirror = stocks(tmp_path / "mirror")
    objects = {key(day): packed_day(day) for day in DAYS}
    objects[key(DAYS[1])] = gzip.compress(gzip.decompress(objects[key(DAYS[1])]), 1, mtime=0)
    with loopback.serve(objects) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        code, found, _ = adopt(place, mirror)
        assert (code, {one["verdict"] for one in found.values()}) == (0, {"adopted"})
        ran = place.run(DAYS[0], DAYS[-1])
    assert (ran.gets, place.corrections()) == ([DAYS[1]], [])


@pytest.mark.parametrize("at", ["", "us_stocks_sip", "us_stocks_sip/day_aggs_v1", "us_stocks_sip/day_aggs_v1/2025"])
def test_the_folder_may_be_the_buckets_the_datasets_or_a_years(tmp_path, at):
    place = Place(tmp_path / "cache", "http://127.0.0.1:1")
    code, found, _ = adopt(place, stocks(tmp_path / "mirror") / at)
    assert (code, {one["dataset"] for one in found.values()}) == (0, {STOCKS_DAY.name})
    assert place.query("SELECT count(*) FROM sessions") == [(len(DAYS),)]


def test_a_folder_that_names_no_dataset_needs_its_name(tmp_path):
    place = Place(tmp_path / "cache", "http://127.0.0.1:1")
    top = stocks(tmp_path / "mirror", name=lambda day: f"year={day:%Y}/month={day.month}/{day}.csv.gz")
    code, found, err = adopt(place, top)
    assert (code, found) == (2, {})
    assert "name no dataset" in err
    assert "--dataset NAME" in err
    code, found, _ = adopt(place, top, "-d", "stocks-day")
    assert (code, {one["verdict"] for one in found.values()}) == (0, {"adopted"})


def test_what_is_no_whole_day_of_its_place_is_named_and_left(tmp_path):
    place, top = Place(tmp_path / "cache", "http://127.0.0.1:1"), stocks(tmp_path / "mirror")
    folder = top / f"us_stocks_sip/day_aggs_v1/{DAYS[0]:%Y/%m}"
    (folder / "2025-03-04.csv.gz.3f2A").write_bytes(b"half a download")
    (folder / "2025-02-28.csv.gz").write_bytes(packed_day(DAYS[0]))
    (folder / "2025-03-10.csv.zst").write_bytes(b"")
    (folder / "2999-03-10.csv.gz").write_bytes(b"")
    (folder / "2025-03-11.csv.gz").symlink_to(folder / f"{DAYS[0]}.csv.gz")
    (folder / f"{DAYS[0]}.csv").write_bytes(b"")
    other = top / f"us_options_opra/day_aggs_v1/2025/03/{DAYS[0]}.csv.gz"
    other.parent.mkdir(parents=True)
    other.write_bytes(packed_day(DAYS[0]))
    code, found, _ = adopt(place, top, "-d", "stocks-day")
    assert code == 3
    assert {name: one["verdict"] for name, one in found.items() if one["verdict"] != "adopted"} == {
        str(path.relative_to(top)): verdict
        for path, verdict in {
            folder / "2025-03-04.csv.gz.3f2A": "ignored",
            folder / "2025-02-28.csv.gz": "unreadable",
            folder / "2025-03-10.csv.zst": "unreadable",
            folder / "2999-03-10.csv.gz": "unreadable",
            folder / "2025-03-11.csv.gz": "unreadable",
            folder / f"{DAYS[0]}.csv": "held",
            other: "ignored",
        }.items()
    }


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_a_torn_file_goes_into_quarantine_by_copy_and_a_run_replaces_it(tmp_path, loopback_keys, large, monkeypatch):
    if large:
        shrink(monkeypatch)
    top = stocks(tmp_path / "mirror")
    torn = top / key(DAYS[1])
    torn.write_bytes(packed_day(DAYS[1])[:-20])
    with loopback.serve({key(day): packed_day(day) for day in DAYS}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        code, found, _ = adopt(place, top)
        assert (code, found[key(DAYS[1])]["verdict"]) == (3, "quarantined")
        assert "--start 2025-03-04 --end 2025-03-04" in found[key(DAYS[1])]["reason"]
        (kept,) = (place.root / "quarantine").glob("*.csv.gz")
        assert kept.read_bytes() == torn.read_bytes()
        assert place.run(DAYS[0], DAYS[-1]).committed == [DAYS[1]]
    assert (place.query("SELECT * FROM quarantine"), kept.exists()) == ([], False)


def shrink(monkeypatch):
    """Let every file be large: read in place, in chunks."""
    tune(monkeypatch, large=1, alone=1, in_chunks=1, chunk=4096)


def test_plain_text_is_packed_and_compared_by_the_next_run(tmp_path, loopback_keys):
    top = tmp_path / "mirror"
    lay(top, {key(day).removesuffix(".gz"): gzip.decompress(packed_day(day)) for day in DAYS})
    with loopback.serve({key(day): packed_day(day) for day in DAYS}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        code, found, _ = adopt(place, top)
        assert (code, {(one["verdict"], one["md5"]) for one in found.values()}) == (0, {("adopted", None)})
        ran = place.run(DAYS[0], DAYS[-1])
    assert (ran.gets, place.corrections()) == (DAYS, [])


def test_a_dry_run_says_what_would_be_adopted_and_writes_nothing(tmp_path):
    place, top = Place(tmp_path / "cache", "http://127.0.0.1:1"), stocks(tmp_path / "mirror")
    code, found, _ = adopt(place, top, "-n")
    assert (code, verdicts(found), place.root.exists()) == (0, {f"{day}.csv.gz": "adopted" for day in DAYS}, False)
    assert "md5" not in place.here("adopt", top, "-n").out
    adopt(place, top)
    code, found, _ = adopt(place, top, "-n")
    assert (code, set(verdicts(found).values())) == (0, {"held"})


def test_an_adoption_that_was_stopped_continues(tmp_path, monkeypatch):
    from ingest.maintenance.adopt import splitting

    place, top = Place(tmp_path / "cache", "http://127.0.0.1:1"), stocks(tmp_path / "mirror")
    split = splitting.MirrorExecutor._result

    def stopping(self, job):
        os.kill(os.getpid(), 2)
        return split(self, job)

    monkeypatch.setattr(splitting.os, "cpu_count", lambda: 1)
    with monkeypatch.context() as patched:
        patched.setattr(splitting.MirrorExecutor, "_result", stopping)
        code, found, _ = adopt(place, top)
    assert (code, verdicts(found)) == (130, {f"{DAYS[0]}.csv.gz": "adopted"})
    assert verify(place.settings(), deep=True).problems == ()
    code, found, _ = adopt(place, top)
    assert (code, sorted(verdicts(found).values())) == (0, ["adopted", "adopted", "held"])
    assert len(place.csv("AAPL")) == len(DAYS)


def test_a_file_that_changes_while_it_is_read_is_left(tmp_path, monkeypatch):
    from ingest.maintenance.adopt import splitting

    place, top = Place(tmp_path / "cache", "http://127.0.0.1:1"), stocks(tmp_path / "mirror")
    prepare = splitting.prepare

    def changing(job, body, granted):
        if job.session == DAYS[0]:
            os.utime(top / key(DAYS[0]), ns=(1, 1))
        return prepare(job, body, granted)

    monkeypatch.setattr(splitting, "prepare", changing)
    done = place.here("adopt", top, "--json")
    found = {line["path"]: line for line in map(json.loads, done.out.splitlines()) if "path" in line}
    assert (done.code, found[key(DAYS[0])]["verdict"]) == (3, "unreadable")
    assert "changed while it was read" in found[key(DAYS[0])]["reason"]
    assert place.state(DAYS[0]) is None
    assert sorted(path.name for path in (place.tracked / "sessions").iterdir()) == [f"{day}.csv.gz" for day in DAYS[1:]]


def test_a_file_with_a_bad_row_names_its_line(tmp_path):
    place, top = Place(tmp_path / "cache", "http://127.0.0.1:1"), stocks(tmp_path / "mirror")
    lines = gzip.decompress(packed_day(DAYS[0])).splitlines(keepends=True)
    ticker, _, rest = lines[20].split(b",", 2)
    lines[20] = b",".join([ticker, b"many", rest])
    (top / key(DAYS[0])).write_bytes(pack(b"".join(lines)))
    code, found, _ = adopt(place, top)
    said = f"line 21 (ticker {ticker.decode()}), volume: 'many' is not a number"
    assert (code, said in found[key(DAYS[0])]["reason"]) == (3, True)


def test_a_session_with_a_missing_part_is_taken_from_the_mirror(tmp_path):
    place, top = Place(tmp_path / "cache", "http://127.0.0.1:1"), stocks(tmp_path / "mirror")
    adopt(place, top)
    before = place.tiers()
    place.part(DAYS[1], "archive").unlink()
    code, found, _ = adopt(place, top)
    assert (code, found[key(DAYS[1])]["verdict"]) == (0, "adopted")
    assert place.tiers() == before
    assert place.corrections() == []


WRONG = {
    "minutes as days": ("stocks-minute", "stocks-day", "unreadable", "many rows for each ticker"),
    "days as minutes": ("stocks-day", "stocks-minute", "unreadable", "one row for each ticker"),
    "options as stocks": ("options-day", "stocks-day", "unreadable", "tickers such as O:"),
    "stocks as coins": ("stocks-day", "crypto-day", "unreadable", "are not of crypto-day"),
    "coins as coins": ("crypto-day", "crypto-day", "adopted", "a whole day"),
    "minutes as minutes": ("stocks-minute", "stocks-minute", "adopted", "a whole day"),
}


@pytest.mark.parametrize(("of", "named_as", "verdict", "reason"), WRONG.values(), ids=WRONG)
def test_files_are_not_taken_for_those_of_another_dataset(tmp_path, texts, of, named_as, verdict, reason):
    place, (day, text) = Place(tmp_path / "cache", "http://127.0.0.1:1"), list(texts[of].items())[-1]
    top = lay(tmp_path / "mirror", {f"{day}.csv.gz": pack(text)})
    _, found, _ = adopt(place, top, "-d", named_as)
    (one,) = found.values()
    assert one["verdict"] == verdict
    assert reason in one["reason"]


@pytest.mark.parametrize("short", ["stocks", "options"])
def test_days_with_a_repeated_row_are_not_taken_for_minutes(tmp_path, texts, short):
    day, text = list(texts[f"{short}-day"].items())[-1]
    lines = text.splitlines(keepends=True)
    for top, spoilt in (("once", lines), ("repeated", [*lines[:5], lines[4], *lines[5:]])):
        place = Place(tmp_path / f"cache-{top}", "http://127.0.0.1:1")
        mirror = lay(tmp_path / top, {f"{day}.csv.gz": pack(b"".join(spoilt))})
        _, found, _ = adopt(place, mirror, "-d", f"{short}-minute")
        (one,) = found.values()
        assert one["verdict"] == "unreadable"


def test_sessions_that_were_stored_without_the_rest_are_completed(tmp_path, loopback_keys):
    top, objects = stocks(tmp_path / "mirror"), {key(day): packed_day(day) for day in DAYS}
    (top / key(DAYS[2])).write_bytes(gzip.compress(gzip.decompress(packed_day(DAYS[2])), 1, mtime=0))
    with loopback.serve(objects) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.run(DAYS[0], DAYS[-1], save_others=False)
        code, found, _ = adopt(place, top)
        whole = Place(tmp_path / "whole", server.endpoint_url)
        whole.run(DAYS[0], DAYS[1])
    assert (code, sorted(verdicts(found).values())) == (0, ["adopted", "adopted", "held"])
    for day in DAYS[:2]:
        for tier in ("tracked", "archive"):
            assert place.part(day, tier).read_bytes() == whole.part(day, tier).read_bytes()
    assert place.corrections() == []
