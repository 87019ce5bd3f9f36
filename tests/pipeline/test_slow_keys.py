"""Keys from a program that takes its time: they are read before the lock is taken, within a limit."""

import shlex
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pipeline_kit import Place, market_objects, trading_days, window

from ingest.cache import lock
from ingest.demo.servers import loopback
from ingest.errors import SourceRefused, UsageError

DAYS = trading_days(date(2025, 3, 3), 3)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes of POSIX")

TELLS = """
import json, os, pathlib, sys, time
here = pathlib.Path(sys.argv[1])
(here / "child").write_text(str(os.getpid()))
times = len(list(here.glob("asked-*")))
(here / f"asked-{times}").touch()
time.sleep(300 * (times >= int(sys.argv[2])))
expires = {"Expiration": sys.argv[3]} if sys.argv[3:] else {}
print(json.dumps({"Version": 1, "AccessKeyId": "KEY", "SecretAccessKey": "secret-of-the-loopback", **expires}))
"""

STARTS_ANOTHER = """
import pathlib, subprocess, sys
with subprocess.Popen(["sleep", "300"]) as child:
    pathlib.Path(sys.argv[1], "child").write_text(str(child.pid))
"""


@pytest.fixture
def place(loopback_keys, tmp_path):
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        place.server = server
        yield place


@pytest.fixture
def told_by(loopback_keys):
    """Have a Python program supply the keys."""

    def write(code, *arguments, profile=""):
        command = shlex.join([sys.executable, "-c", "exec(" + repr(code) + ")", *map(str, arguments)])
        loopback_keys.write_text(f"[massive]\n{profile or 'credential_process = ' + command}\n")
        return command

    return write


def gone(pid):
    """Whether a process has ended, now or shortly."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_a_program_that_supplies_no_keys_is_ended_and_named_and_holds_no_lock(place, told_by, tmp_path):
    told_by(STARTS_ANOTHER, tmp_path)
    command = place.command("run", "--start", DAYS[0], "--end", DAYS[-1])
    environment = place.environment(INGEST_SOURCE__KEYS_TIMEOUT_S="1")
    ends = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=tmp_path, **ends) as process:
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
            assert process.poll() is None
            time.sleep(0.01)
        with lock.hold(place.root):
            said = process.communicate(timeout=30)[1]
    assert process.returncode == 2
    assert said.startswith("error: the keys of [massive] did not arrive within 1 s")
    assert "credential_process" in said
    assert said.count("\n") == 1
    if Path("/proc").exists():
        assert gone(int((tmp_path / "child").read_text()))


def test_keys_that_come_in_time_are_used(place, told_by, tmp_path):
    told_by(TELLS, tmp_path, 9)
    assert place.run(*window(DAYS), keys_timeout_s=20).finished.committed == 3


def test_ctrl_c_ends_the_wait_for_keys(place, told_by, tmp_path):
    told_by(STARTS_ANOTHER, tmp_path)
    command = place.command("run", "--start", DAYS[0], "--end", DAYS[-1])
    ends = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=place.environment(), cwd=tmp_path, **ends) as process:
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "Traceback" not in said
    if Path("/proc").exists():
        assert gone(int((tmp_path / "child").read_text()))


def test_a_program_behind_a_role_has_the_same_limit(place, loopback_keys, told_by, tmp_path, monkeypatch):
    """A role's keys are requested with those of another profile, which a program may supply."""
    command = told_by(TELLS, tmp_path, 0)
    config = tmp_path / "config"
    config.write_text(
        "[profile massive]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\n"
        f"[profile base]\ncredential_process = {command}\n"
    )
    loopback_keys.unlink()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    ran = place.run(*window(DAYS), keys_timeout_s=0.5, fails=UsageError)
    assert "did not arrive within 0.5 s" in str(ran.error)
    assert not place.root.exists()
    if Path("/proc").exists():
        assert gone(int((tmp_path / "child").read_text()))


def test_keys_renewed_in_the_middle_of_a_run_have_a_limit_too(place, told_by, tmp_path):
    """They expire soon, so each request asks for them again: the third time, the program supplies none."""
    told_by(TELLS, tmp_path, 2, f"{datetime.now(UTC) + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}")
    ran = place.run(*window(DAYS), keys_timeout_s=2, fails=SourceRefused)
    assert ran.finished.exit_code == 4
    assert "credential_process: it returned no keys within 2 s" in str(ran.error)
    assert len(list(tmp_path.glob("asked-*"))) == 3
