"""`ingest demo`, started like a user would."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from pipeline_kit import sampled

import ingest
from ingest.cli.commands.demo import exhibits, telling
from ingest.demo.servers import seaweed
from ingest.errors import IngestWarning
from ingest.market.calendars import today
from ingest.market.catalogue import named
from ingest.market.windows import first_day

ONE_MONTH = ["demo", "--months", "1"]
DEMO = [sys.executable, "-m", "ingest", *ONE_MONTH]
WITHOUT_SEAWEED = """
from ingest.demo.servers import weed
weed.binary = lambda: None
from ingest.__main__ import main
main()
"""

needs_seaweed = pytest.mark.skipif(not seaweed.available(), reason="no SeaweedFS for this platform")


def weeds_of(parent: int) -> list[int]:
    """Processes of SeaweedFS with this parent."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            family = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"weed" in command and b"mini" in command and int(family) == parent:
            found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A demo that has ended, in a folder that was its temporary one, too."""
    folder = tmp_path_factory.mktemp("demo")
    environment = os.environ | {"TMPDIR": str(folder)}
    return folder, subprocess.run(
        DEMO, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


@needs_seaweed
def test_it_fills_both_tiers_and_downloads_nothing_the_second_time(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = finished
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Starting an S3 server")
    assert "SeaweedFS at http" in done.stdout
    first, again = done.stdout.split("again: nothing is downloaded")
    assert "Complete." in first
    assert "fetched: 0 sessions, 0 B" in again
    assert "Nothing to download" in again
    assert "aws_access_key_id = YOUR_ACCESS_KEY" in again
    hinted = [line.split() for line in again.splitlines() if line.startswith("  ingest s")]
    assert [words[1] for words in hinted] == ["status", "show"]
    for words in hinted:
        command = [sys.executable, "-m", *words]
        assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    cache = folder / "cache" / "demo"
    assert (cache / "data_cache" / "AAPL_1d_data.csv").read_text().startswith("Date,Open,High,Low,Close,Volume\n20")
    assert len(list((cache / "massive_cache").glob("*.csv.gz"))) >= 10
    # The Python lines of the README.
    config = str(cache / "config.toml")
    with pytest.warns(IngestWarning, match="not stored"):
        prices = ingest.get_smart_data("AAPL", "2mo", data_source="massive", fetch=False, config=config)
    assert list(prices.columns) == ["Open", "High", "Low", "Close", "Volume"]
    assert ingest.day(prices.index[-1].date(), config=config).height > 1000


@pytest.mark.parametrize("months", [None, 1, 3, 14])
@pytest.mark.parametrize("dataset", ["stocks-minute", "stocks-day", "crypto-minute", "futures-cme-minute"])
def test_its_last_hint_names_a_window_that_it_has(tmp_path: Path, dataset: str, months: int | None) -> None:
    shown = exhibits.exhibit_of(named(dataset), months, tmp_path)
    (hint,) = [line for line in telling.what_next(tmp_path, [shown]).splitlines() if "ingest show" in line]
    period = hint.split(" -p ")[1].split()[0]
    for newest in (today(), shown.shelf.sessions[-1]):
        first = first_day(period, today(), newest, shown.dataset)
        assert any(day >= first for day in shown.shelf.sessions[: -shown.shelf.forbidden])


def test_a_folder_that_is_not_a_demos_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = subprocess.run([*DEMO, "--dir", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert (tmp_path / "mine.txt").read_text() == "precious"


@needs_seaweed
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "out.txt"
    with log.open("w") as out:
        demo = subprocess.Popen([*DEMO, "--objects"], cwd=tmp_path, stdout=out, stderr=out)
        weeds: list[int] = []
        while not weeds and demo.poll() is None:
            weeds = weeds_of(demo.pid)
            time.sleep(0.02)
        demo.send_signal(number)
        code = demo.wait(timeout=60)
    assert weeds
    assert code in (130, 128 + number, -number), log.read_text()
    assert not any(Path(f"/proc/{pid}").exists() for pid in weeds)


@needs_seaweed
def test_no_key_of_the_demo_stays_on_disk(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = finished
    assert done.returncode == 0
    assert not list(folder.glob("ingest-demo-*"))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if b"aws_secret" in path.read_bytes()]


@needs_seaweed
def test_it_shows_any_datasets_each_with_a_list_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ingest", "demo", "--dataset", "forex-minute", "-d", "futures-cme-day", "--lake"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    first, *_ = done.stdout.split("again: nothing is downloaded")
    assert first.count("Complete.") == 2
    assert done.stdout.count("Nothing to download") == 2
    cache = tmp_path / "cache" / "demo"
    for dataset, sessions in ((named("forex-minute"), [5]), (named("futures-cme-day"), range(30, 50))):
        listed = (cache / f"{dataset.short}.txt").read_text().splitlines()[1:]
        assert len(listed) == 10
        csvs = {path.name for path in dataset.folder(cache / "data_cache").glob("*_data*")}
        assert csvs == {dataset.csv_name(ticker) for ticker in listed}
        assert len(list(dataset.folder(cache / "massive_cache").glob("*.csv.gz"))) in sessions
        (pattern,) = re.findall(rf"All rows as Parquet: (\S*/{dataset.short}/\S+) ", first)
        with duckdb.connect() as db:
            ((rows,),) = db.execute(f"SELECT count(*) FROM '{pattern}'").fetchall()
        stored = ingest.scan(dataset=dataset.short, config=cache / "config.toml").collect().height
        assert rows == stored > 0


@needs_seaweed
def test_its_parts_lie_in_a_bucket_from_which_a_ticker_is_read_and_nothing_stays_behind(tmp_path: Path) -> None:
    keys = {"MASSIVE_S3_ACCESS_KEY": "mine", "AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine"}
    done = subprocess.run(
        [*DEMO, "--objects"], cwd=tmp_path, env=os.environ | keys | {"TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, again = done.stdout.split("again: nothing is downloaded")
    assert "Complete." in first
    assert "Nothing to download" in again
    (count,) = re.findall(r"stored in the window: (\d+) sessions", first)
    for tier in ("archive", "tracked"):
        assert re.search(rf"{tier}/us_stocks_sip/day_aggs_v1 +{count} ", first)
    assert re.search(rf"From {count} objects \d+ of [\d,]+ kB were read, by range", first)
    assert "$ ingest restore" in first
    assert "$ ingest move --to local" in again
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert len(list(tmp_path.rglob("*.csv.gz"))) == 2 * int(count)
    for hint in [line.split() for line in again.splitlines() if line.startswith("  ingest s")]:
        looked = subprocess.run([sys.executable, "-m", *hint], cwd=tmp_path, capture_output=True, check=False)
        assert looked.returncode == 0, looked.stderr


def test_without_an_object_store_to_start_it_says_so_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_SEAWEED, *ONE_MONTH, "--objects"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--objects needs SeaweedFS" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_dataset_is_refused_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ingest", "demo", "--dataset", "option-day"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "did you mean options-day" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
@pytest.mark.parametrize("name", sampled([b"d-\xfc", "d-ü".encode()]))
def test_a_folder_of_any_name_gets_a_config_that_can_be_read_whatever_the_encoding(tmp_path: Path, name: bytes) -> None:
    """Its server is the one of platforms without SeaweedFS, which is soon ready."""
    folder = tmp_path / os.fsdecode(name)
    ascii_alone = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    demo_here = [sys.executable, "-c", WITHOUT_SEAWEED, *ONE_MONTH, "--dir", folder]
    for command in (demo_here, [*DEMO[:3], "status", "--config", folder / "config.toml"]):
        done = subprocess.run(command, env=ascii_alone, capture_output=True, timeout=100, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"SeaweedFS" not in done.stdout
    assert (folder / "config.toml").read_text(encoding="utf-8").startswith("# Written by `ingest demo`")
