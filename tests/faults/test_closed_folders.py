"""Caches whose files and folders are closed to who runs a command: one clear line, exit 5, and no traceback."""

import os
import shutil
import stat
import subprocess
import sys

import pytest
from pipeline_kit import Place, sampled

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")

MARKED = ("Traceback", 'File "', "Error:")


@pytest.fixture(scope="module")
def unprivileged():
    """What to put before a command so that modes hold for it: root passes them by."""
    if os.geteuid() != 0:
        return []
    if not (setpriv := shutil.which("setpriv")):
        pytest.skip("root passes all modes by, and there is no setpriv to take that right away")
    without = "-dac_override,-dac_read_search"
    prefix = [setpriv, f"--bounding-set={without}", f"--inh-caps={without}"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("root passes all modes by, and may not give that right up here")
    return prefix


@pytest.fixture
def place(eventful, tmp_path):
    place = Place(tmp_path / "cache", eventful.before.endpoint_url)
    shutil.copytree(eventful.before.root, place.root)
    yield place
    for path in [place.root, *place.root.rglob("*")]:
        path.chmod(0o700)


def run(place, prefix, *arguments, **environment):
    return subprocess.run(
        [*prefix, *place.command(*arguments)],
        env=place.environment(INGEST_TRACKED__TICKERS='["AAPL", "BRK.B", "GONE"]', **environment),
        cwd=place.root.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


def refused(done, place):
    """It ended with one line that names a path of the cache and says what the system said."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 5, done.stderr
    assert len(errors) == 1, done.stderr
    assert str(place.root) in errors[0]
    assert not any(mark in done.stderr for mark in MARKED), done.stderr
    return errors[0]


RUN = ("run", "--start", "2025-03-03", "--end", "2025-03-05", "--quiet", "--no-fallback", "--accept")
CLOSED = {
    "the cache": (".", 0o000),
    "the cache, to writers": (".", 0o500),
    "tracked parts": ("data_cache/sessions", 0o000),
    "tracked parts, to writers": ("data_cache/sessions", 0o500),
    "archive": ("massive_cache", 0o000),
    "tracked CSVs": ("data_cache", 0o000),
    "tracked CSVs, to writers": ("data_cache", 0o500),
    "manifest": ("manifest.sqlite", 0o000),
    "manifest, to writers": ("manifest.sqlite", 0o400),
}


@pytest.mark.parametrize("closed", sampled(CLOSED))
def test_a_run_upon_what_is_closed_to_it_says_which_and_goes_on_when_it_is_open(closed, place, unprivileged, eventful):
    name, mode = CLOSED[closed]
    path = place.root / name
    before = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode)
    line = refused(run(place, unprivileged, *RUN), place)
    assert "ermission denied" in line or "readonly" in line
    path.chmod(before)
    eventful.check_interrupted(place)
    eventful.finish(place)
    eventful.check_finished(place)


READING = {
    "status of a closed cache": (("status",), "the cache"),
    "status of a closed manifest": (("status",), "manifest"),
    "status of a closed folder": (("status",), "tracked CSVs"),
    "show of a closed cache": (("show", "AAPL", "--no-fetch", "--adjust", "none"), "the cache"),
    "show of closed CSVs": (("show", "AAPL", "--no-fetch", "--adjust", "none"), "tracked CSVs"),
}


@pytest.mark.parametrize("reading", READING)
def test_who_reads_what_is_closed_is_told_so_in_one_line(reading, place, unprivileged):
    arguments, closed = READING[reading]
    name, mode = CLOSED[closed]
    (place.root / name).chmod(mode)
    line = refused(run(place, unprivileged, *arguments), place)
    assert f"(uid {os.geteuid()}) may not " in line or f"user {os.geteuid()} may not" in line
    assert "---------" in line


def test_a_list_or_an_export_in_a_closed_folder_is_named(place, unprivileged):
    folder = place.root / "closed"
    folder.mkdir(mode=0o000)
    refused(run(place, unprivileged, "track", "add", "MSFT", "--list", folder / "list.txt"), place)
    refused(run(place, unprivileged, "export", "AAPL", "--out", folder / "out"), place)


def test_check_says_that_the_cache_is_closed_and_goes_on(place, unprivileged):
    place.root.chmod(0o000)
    done = run(place, unprivileged, "check", HTTPS_PROXY="http://127.0.0.1:9")  # Yahoo is not to be asked for this
    assert done.returncode == 5  # what a run would end with
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    assert "ermission denied" in done.stdout
    assert "listing" in done.stdout


@pytest.mark.parametrize("name", sampled(["data_cache", "massive_cache", "manifest.sqlite", "."], 2))
def test_a_file_or_a_folder_in_the_place_of_the_other_is_said(name, place):
    path = place.root / name
    if path.is_dir():
        shutil.rmtree(path)
        path.touch()
    else:
        path.unlink()
        path.mkdir()
    refused(run(place, [], *RUN), place)
    looked = run(place, [], "status")
    assert not any(mark in looked.stderr for mark in MARKED), looked.stderr
