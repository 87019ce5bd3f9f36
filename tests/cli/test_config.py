"""`ingest config`: the settings in effect, and where they come from."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from platformdirs import user_config_path

from ingest.settings import load


@pytest.fixture
def ingest(tmp_path):
    def command(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "ingest", "config", *arguments],
            cwd=tmp_path,
            env={"HOME": str(tmp_path), "PATH": "", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return command


def test_what_is_shown_is_a_config_toml_that_says_the_same(ingest, tmp_path, monkeypatch):
    lists = '{"options-day": ["/o.txt"], "crypto-day": []}'
    shown = ingest("show", INGEST_SOURCE__CONCURRENCY="7", INGEST_TRACKED__DATASETS=lists).stdout
    assert tomllib.loads(shown)["source"]["concurrency"] == 7
    assert tomllib.loads(shown)["tracked"]["datasets"] == {"options-day": ["/o.txt"], "crypto-day": []}
    (tmp_path / "config.toml").write_text(shown)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INGEST_CONFIG", raising=False)
    assert load().source.concurrency == 7
    changed = {"source": None, "tracked": None}
    assert load().model_dump() | changed == load_defaults(tmp_path) | changed


def load_defaults(folder):
    empty = folder / "empty.toml"
    empty.touch()
    return load(empty).model_dump()


def test_each_setting_names_its_origin(ingest, tmp_path):
    (tmp_path / "config.toml").write_text("[run]\nmonths = 3\n")
    done = ingest("show", "--json", INGEST_SOURCE__CONCURRENCY="7")
    origins = {f"{one['section']}.{one['name']}": one["origin"] for one in map(json.loads, done.stdout.splitlines())}
    assert origins["source.concurrency"] == "environment variable INGEST_SOURCE__CONCURRENCY"
    assert origins["run.months"] == str(tmp_path / "config.toml")
    assert origins["cache.root"] == "built-in default"


def test_the_path_is_the_file_that_is_read(ingest, tmp_path):
    nothing = ingest("path")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "built-in defaults" in nothing.stderr
    looked = [str(tmp_path / "config.toml"), str(user_config_path("ingest", appauthor=False) / "config.toml")]
    assert [path for path in looked if path.replace(str(Path.home()), str(tmp_path)) not in nothing.stderr] == []
    (tmp_path / "config.toml").touch()
    assert ingest("path").stdout == f"{tmp_path / 'config.toml'}\n"


def test_a_file_that_is_named_and_missing_is_refused(ingest):
    done = ingest("path", "--config", "none.toml")
    assert done.returncode == 2
    assert "none.toml" in done.stderr
