"""Every dataset of the catalogue, end to end against the real S3 server, all of them in one cache."""

import csv
import hashlib
import io
import shutil
from dataclasses import replace
from datetime import date
from urllib.parse import unquote

import anyio
import polars as pl
import pytest
from pipeline_kit import Place, pack, pointed, write_keys

from ingest import finding
from ingest.cache.cache import Cache
from ingest.demo.files.files import files_of
from ingest.demo.files.market import STAMPED_A_DAY_LATE
from ingest.demo.files.options import UNSTAMPED
from ingest.demo.servers import loopback
from ingest.demo.servers import seaweed as weed
from ingest.maintenance.verify import verify
from ingest.market import catalogue
from ingest.market.calendars import Calendar
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY, named
from ingest.market.datasets import Dataset
from ingest.market.row_kinds import DAY_BARS
from ingest.market.windows import Window
from ingest.planning.listing import list_window
from ingest.planning.request import Request
from ingest.reading import rows as reading

SPAN = date(2026, 2, 20), date(2026, 2, 24)
"""A weekend in between: crypto trades on both of its days, currencies on the Sunday."""
ROWS = 20
EVERY = [pytest.param(dataset, id=name) for name, dataset in CATALOGUE.items()]
OF_DAYS = [one for one in EVERY if not one.values[0].kind.timed]


def small(dataset):
    """Files of few tickers, with a hundredth of the trading within the day."""
    files = files_of(dataset, ROWS)
    files.maker.tape = replace(files.maker.tape, busy=files.maker.tape.busy / 100)
    return files


FILES = {name: small(dataset) for name, dataset in CATALOGUE.items()}
DAYS = {name: list(Calendar.of(dataset.calendar).between(*SPAN)) for name, dataset in CATALOGUE.items()}
TEXTS = {name: {day: files.text(day) for day in DAYS[name]} for name, files in FILES.items()}


def tracked_of(dataset):
    """Four tickers, one of which has no rows at all."""
    return {*FILES[dataset.short].always(SPAN[1])[:3], f"{dataset.sigil}NONE.SUCH"}


def rows_of(text, ticker):
    return [row for row in csv.DictReader(io.StringIO(text.decode())) if row["ticker"] == ticker]


def written(number):
    """A number as a CSV has it: a whole one ends with `.0`, however many zeros the file has."""
    return pointed(number if float(number) % 1 else str(int(float(number))))


def sha256(text):
    return hashlib.sha256(text).hexdigest()


@pytest.fixture(scope="module")
def library(seaweed):
    """A bucket with the files of all datasets."""
    bucket = "all-datasets"
    weed.make_bucket(seaweed.server, seaweed.writer, bucket)
    seaweed.fill(
        bucket, ((CATALOGUE[name].key(day), pack(text)) for name, days in TEXTS.items() for day, text in days.items())
    )
    yield bucket
    seaweed.server.client(seaweed.writer).delete_bucket(Bucket=bucket)


@pytest.fixture(scope="module")
def here(seaweed, library, reader, tmp_path_factory):
    """How to open the one cache of all datasets."""
    folder = tmp_path_factory.mktemp("datasets")
    write_keys(folder / "credentials", reader.access_key, reader.secret_key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        yield lambda dataset: Place(folder / "cache", seaweed.endpoint_url, library, dataset=dataset)


@pytest.fixture(scope="module")
def runs(here):
    """A run of each dataset into that cache, one after the other."""
    ran = {}
    for name, dataset in CATALOGUE.items():
        try:
            ran[name] = here(dataset).run(*SPAN, tracked=tracked_of(dataset))
        except Exception as error:
            pytest.fail(f"the run of {name}: {error!r}", pytrace=False)  # once, not in a hundred tracebacks
    return ran


@pytest.mark.parametrize("dataset", EVERY)
class TestEveryDataset:
    def test_all_sessions_are_committed_and_asked_for_once(self, runs, here, dataset):
        ran = runs[dataset.short]
        assert ran.committed == DAYS[dataset.short]
        assert sorted(ran.gets) == DAYS[dataset.short]
        assert all(dataset.name in unquote(url) for url, _ in ran.wire.sent)

    def test_a_second_run_downloads_nothing_though_all_others_ran_since(self, runs, here, dataset):
        again = here(dataset).run(*SPAN, tracked=tracked_of(dataset))
        assert (again.gets, again.committed) == ([], [])

    def test_both_parts_lie_in_its_folders_and_are_the_source_put_together(self, runs, here, dataset):
        place = here(dataset)
        below = "" if dataset is STOCKS_DAY else f"{dataset.name}/"
        for day in DAYS[dataset.short]:
            assert place.part(day, "tracked") == place.root / f"data_cache/{below}sessions/{day}.csv.gz"
            assert place.part(day, "archive") == place.root / f"massive_cache/{below}{day}.csv.gz"
            assert sha256(place.reassembled(day)) == sha256(TEXTS[dataset.short][day])
            assert {*place.archived(day)}.isdisjoint(tracked_of(dataset))

    def test_the_manifest_knows_its_sessions_under_its_name(self, runs, here, dataset):
        found = here(dataset).query(
            "SELECT session, held, source_rows, text_sha256 FROM sessions WHERE dataset = ? ORDER BY session",
            dataset.name,
        )
        lines = {day: text.count(b"\n") - 1 for day, text in TEXTS[dataset.short].items()}
        expected = [
            (str(day), "committed", lines[day], sha256(TEXTS[dataset.short][day])) for day in DAYS[dataset.short]
        ]
        assert found == expected

    def test_repeated_rows_are_the_only_findings(self, runs, here, dataset):
        found = here(dataset).query("SELECT DISTINCT kind FROM findings WHERE dataset = ?", dataset.name)
        assert {kind for (kind,) in found} <= {"identical repeat"}

    def test_verifying_finds_nothing(self, runs, here, dataset):
        found = verify(here(dataset).settings(), deep=True, dataset=dataset)
        assert (found.problems, found.sessions) == ((), len(DAYS[dataset.short]))

    def test_its_rows_are_read_back(self, runs, here, dataset):
        ticker = min(tracked_of(dataset) - {f"{dataset.sigil}NONE.SUCH"})
        with Cache.read(here(dataset).settings(), dataset) as cache:
            found = reading.session(cache, SPAN[0]).filter(pl.col("ticker") == ticker)
        first = rows_of(TEXTS[dataset.short][SPAN[0]], ticker)[0]
        assert found["date"].unique().to_list() == [SPAN[0]]
        assert found.select("open", "high", "low", "close").row(0) == tuple(
            float(first[name]) for name in ("open", "high", "low", "close")
        )
        assert found["volume"][0] == (float(first["volume"]) if dataset.has_volume else None)


@pytest.mark.parametrize("dataset", OF_DAYS)
def test_daily_csvs_contain_the_numbers_of_the_files(runs, here, dataset):
    place = here(dataset)
    fields = ["open", "high", "low", "close", *["volume"] * dataset.has_volume]
    for ticker in tracked_of(dataset):
        path = place.tracked / dataset.csv_name(ticker)
        rows = {day: rows_of(text, ticker) for day, text in TEXTS[dataset.short].items()}
        number = {name: str if name == "volume" and dataset.counts_contracts else written for name in fields}
        expected = [
            f"{day},{','.join(number[name](found[0][name]) for name in fields)}" for day, found in rows.items() if found
        ]
        assert path.exists() is bool(expected)
        if expected:
            header, *lines = path.read_text().splitlines()
            assert header == ",".join(["Date", *(name.capitalize() for name in fields)])
            assert lines == expected


def test_no_file_is_anothers(runs, here):
    """What is on disk is what the datasets have, each in its place: deleting a dataset removes nothing else."""
    places = [here(dataset) for dataset in CATALOGUE.values()]
    root = places[0].root
    held = [(place, day) for place in places for day in DAYS[place.dataset.short]]
    parts = {place.part(day, tier) for place, day in held for tier in ("tracked", "archive")}
    assert len(parts) == 2 * len(held)
    assert parts == set(root.rglob("*.csv.gz"))


def test_a_missing_manifest_is_rebuilt_from_each_datasets_own_parts(runs, here, seaweed, library, tmp_path):
    shutil.copytree(here(STOCKS_DAY).root, tmp_path / "cache")
    for path in (tmp_path / "cache").glob("manifest.sqlite*"):
        path.unlink()
    for name in ("stocks-day", "indices-day", "crypto-minute"):
        place = Place(tmp_path / "cache", seaweed.endpoint_url, library, dataset=named(name))
        again = place.run(*SPAN, tracked=tracked_of(named(name)))
        assert again.gets == []
        assert f"{len(DAYS[name])} sessions were restored from their parts" in again.notices[0]
        assert verify(place.settings(), deep=True, dataset=named(name)).problems == ()


def test_a_window_over_the_day_on_which_volumes_became_decimals_reads_as_one_frame(runs, here):
    place = here(STOCKS_DAY)
    tickers = sorted(tracked_of(STOCKS_DAY) - {"NONE.SUCH"})
    with Cache.read(place.settings(), STOCKS_DAY) as cache:
        found = reading.rows(cache, tickers, *SPAN)
        whole = reading.session(cache, date(2026, 2, 23))
    assert found.schema["volume"] == pl.Float64
    assert found.group_by("ticker").len()["len"].to_list() == [3] * len(tickers)
    assert (whole["volume"] % 1 != 0).any()
    volumes = [float(rows_of(text, tickers[0])[0]["volume"]) for text in TEXTS["stocks-day"].values()]
    assert found.filter(pl.col("ticker") == tickers[0])["volume"].to_list() == volumes


@pytest.mark.parametrize(
    ("name", "day", "stamped"),
    [("options-day", UNSTAMPED, "1969-12-31"), ("stocks-day", STAMPED_A_DAY_LATE, "2019-08-13")],
)
def test_a_day_whose_every_stamp_is_wrong_gets_its_date_from_its_key(loopback_keys, tmp_path, name, day, stamped):
    files = files_of(named(name), ROWS)
    tracked = files.always(day)[:2]
    with loopback.serve(dict(files.objects([day]))) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=named(name))
        assert place.run(day, day, tracked=tracked).committed == [day]
    for ticker in tracked:
        lines = (place.tracked / named(name).csv_name(ticker)).read_text().splitlines()
        assert [line.split(",")[0] for line in lines[1:]] == [str(day)]
    found = place.query("SELECT count, examples FROM findings WHERE kind = ?", finding.OTHER_DATE)
    assert found == [(files.text(day).count(b"\n") - 1, f'["{stamped}"]')]


MOON = Dataset(
    name="moon_dust/day_aggs_v1",
    short="moon-day",
    kind=DAY_BARS,
    calendar="daily",
    zone="Asia/Tokyo",
    first_session=date(2024, 2, 1),
    required=("ticker", "weather", "volume", "open", "close", "high", "low"),
    optional=("window_start", "craters"),
    sigil="M:",
)


@pytest.fixture
def moon(monkeypatch):
    """A dataset that nothing knows except its entry in the catalogue."""
    monkeypatch.setitem(catalogue.CATALOGUE, MOON.short, MOON)
    return MOON


def test_adding_a_dataset_is_adding_an_entry(moon, loopback_keys, tmp_path):
    days = [date(2026, 2, 21), date(2026, 2, 22)]  # a weekend, on which its calendar has sessions
    files = files_of(moon, ROWS)
    tracked = files.always(days[-1])[:2]
    with loopback.serve(dict(files.objects(days))) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=named("moon-day"))
        assert place.run(*days, tracked=tracked).committed == days
        assert place.run(*days, tracked=tracked).gets == []
        request = Request(Window(*days), frozenset(), dataset=moon)
        listed = anyio.run(list_window, place.settings(), request, lambda event: None)
    assert [(one.session, one.held) for one in listed.files] == [(day, "committed") for day in days]
    assert place.part(days[0], "archive") == place.root / f"massive_cache/moon_dust/day_aggs_v1/{days[0]}.csv.gz"
    assert [place.reassembled(day) for day in days] == [files.text(day) for day in days]
    ticker = tracked[0]
    assert ticker.startswith("M:")
    csv_file = place.tracked / f"{ticker.removeprefix('M:')}_1d_data.csv"
    assert [line[:10] for line in csv_file.read_text().splitlines()[1:]] == [str(day) for day in days]
    status = place.status()
    assert (status.dataset, status.first, status.last, status.gaps) == (moon.name, *days, ())
    assert verify(place.settings(), deep=True, dataset=moon).problems == ()
    assert place.query("SELECT count(*) FROM findings") == [(0,)]  # its own columns are known


def test_what_an_entry_requires_is_required(moon, loopback_keys, tmp_path):
    day = date(2026, 2, 21)
    sunless = replace(moon, required=tuple(name for name in moon.required if name != "weather"))
    with loopback.serve(dict(files_of(sunless, ROWS).objects([day]))) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=moon)
        assert place.run(day, day).committed == []
    assert place.state(day)[0] == "quarantined"


def test_every_command_knows_a_dataset_by_its_entry(moon, loopback_keys, tmp_path):
    days = [date(2026, 2, 21), date(2026, 2, 22)]
    files = files_of(moon, ROWS)
    ticker = files.always(days[-1])[0]
    (tmp_path / "moon.txt").write_text(f"{ticker}\n")
    window = ("--start", days[0], "--end", days[-1])
    with loopback.serve(dict(files.objects(days))) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=moon)
        of_it = ("--dataset", moon.short)
        ran = place.here("run", *of_it, *window, "--tickers", tmp_path / "moon.txt", "--yes")
        assert (ran.code, ran.err) == (0, "")
        assert "Complete." in ran.out
        listed = place.here("list", *of_it, *window, "--json")
        assert listed.out.count('"committed"') == 2
    assert moon.name in place.here("status", *of_it).out
    assert place.here("verify", *of_it, "--deep").code == 0
    shown = place.here("show", ticker, "--no-fetch", "--start", days[0], "--end", days[-1])
    first = rows_of(files.text(days[0]), ticker)[0]
    assert (shown.code, shown.err) == (0, "")
    assert first["close"] in shown.out
