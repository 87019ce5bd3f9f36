"""[engine], and the flag that stands for it."""

from pathlib import Path

import pytest

from ingest.errors import UsageError, WrongArgument
from ingest.planning.request import Flags
from ingest.settings import load

GIVEN = {
    "local": ("local", ""),
    "processes": ("processes", ""),
    "dask://scheduler:8786": ("dask", "tcp://scheduler:8786"),
    "tcp://10.0.0.5:8786": ("dask", "tcp://10.0.0.5:8786"),
    "tls://[::1]:8786": ("dask", "tls://[::1]:8786"),
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("given", GIVEN)
def test_a_flag_names_the_kind_and_the_address(given):
    engine = load(given=Flags(engine=given).settings()).engine
    assert (engine.kind, engine.address) == GIVEN[given]


@pytest.mark.parametrize(
    "given",
    ["", "ray", "dask", "dask://", "dask://host", "dask://host:0", "tls://u:p@h:1", "tcp://h:1/x", "http://h:1"],
)
def test_another_one_is_refused_and_told_what_is_allowed(given):
    with pytest.raises(WrongArgument, match=r"engine .*must be local, processes, dask://HOST:PORT"):
        Flags(engine=given).settings()


def test_the_file_of_a_scheduler_starts_at_the_folder_of_whoever_names_it(here, monkeypatch):
    assert load(given=Flags(engine="scheduler.json").settings()).engine.address == str(here / "scheduler.json")
    folder = here / "settings"
    folder.mkdir()
    file = folder / "config.toml"
    file.write_text('[engine]\nkind = "dask"\naddress = "there/scheduler.json"\n')
    assert load(file).engine.address == str(folder / "there" / "scheduler.json")
    file.write_text('[engine]\nkind = "dask"\naddress = "~/scheduler.json"\n')
    assert load(file).engine.address == str(Path.home() / "scheduler.json")


def test_a_flag_that_names_no_scheduler_leaves_the_files_alone(here):
    (here / "config.toml").write_text('[engine]\nkind = "dask"\naddress = "tls://scheduler:8786"\n')
    assert load().engine.address == "tls://scheduler:8786"
    assert load(given=Flags(engine="local").settings()).engine.kind == "local"


def test_dask_needs_an_address(here):
    (here / "config.toml").write_text('[engine]\nkind = "dask"\n')
    with pytest.raises(UsageError, match=r"\[engine\] address .*name the scheduler"):
        load()


@pytest.mark.parametrize("given", ["dask://me:hunter2@host:1", "tls://hunter2@host:1"])
def test_a_password_in_an_address_is_not_repeated(given):
    with pytest.raises(WrongArgument) as raised:
        Flags(engine=given).settings()
    assert "hunter2" not in raised.value.message
    assert "an address with a name or password" in raised.value.message
