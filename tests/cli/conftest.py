"""A user who has never set anything, in an empty folder."""

import os

import pytest
from pipeline_kit import Place


@pytest.fixture
def home(tmp_path, monkeypatch, loopback_keys):
    """A user without settings, in an empty folder."""
    for name in [name for name in os.environ if name.startswith(("INGEST_", "XDG_", "AWS_PROFILE"))]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


@pytest.fixture
def ingest(home, tmp_path):
    """A command in the working folder, with nothing set but these variables."""
    place = Place(tmp_path / "work" / "x", "")

    def run(*arguments, **environment):
        bare = {name: "" for name in place.environment() if name.startswith("INGEST_")}
        return place.here(*arguments, **(bare | environment))

    return run
