"""Where data goes if nobody chose a place: said, asked, or refused; and the user's own settings."""

from datetime import date
from pathlib import Path

import pytest
from pipeline_kit import Place, market_objects, trading_days
from terminal_kit import at_terminal

from ingest import settings
from ingest.cli.places import agree_on_place
from ingest.demo.servers import loopback
from ingest.errors import UsageError

DAYS = trading_days(date(2025, 3, 3), 2)
SPAN = ("--start", str(DAYS[0]), "--end", str(DAYS[1]))


@pytest.fixture
def source():
    with loopback.serve(market_objects(DAYS)) as server:
        yield {"INGEST_SOURCE__ENDPOINT_URL": server.endpoint_url, "INGEST_FALLBACK__ENABLED": "false"}


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


def test_without_a_terminal_the_place_is_said_in_one_line_and_only_before_there_is_a_cache(ingest, work, source):
    line = f"no config.toml: data goes into {work / 'cache'}\n"
    first = ingest("run", *SPAN, **source)
    assert (first.code, first.err) == (0, line)
    assert ingest("run", *SPAN, **source).err == ""


def test_quiet_says_nothing_of_it(ingest, work, source):
    told = ingest("run", *SPAN, "--quiet", **source)
    assert (told.code, told.out + told.err, (work / "cache").is_dir()) == (0, "", True)


@pytest.mark.parametrize("how", ["config.toml", "stocks.txt", "INGEST_CACHE__ROOT"])
def test_a_place_that_was_chosen_is_not_asked_for(ingest, work, source, how):
    (work / ".git").mkdir()
    if how.startswith("INGEST"):
        source |= {how: str(work / "cache")}
    else:
        (work / how).write_text("")
    told = ingest("run", *SPAN, **source)
    assert told.code == 0
    assert ("data goes into" in told.err) == (how == "stocks.txt")


@pytest.mark.parametrize("mark", [".git", "pyproject.toml", "package.json"])
@pytest.mark.parametrize("command", ["run", "adopt", "show", "track"])
def test_a_source_tree_is_refused(ingest, work, source, mark, command, monkeypatch):
    (work / mark).mkdir()
    (work / "inner").mkdir()
    (work / "theirs").mkdir()
    arguments = {
        "run": ("run", *SPAN, "--yes"),
        "adopt": ("adopt", "theirs"),
        "show": ("show", "AAPL", *SPAN),
        "track": ("track", "add", "MSFT"),
    }
    told = ingest(*arguments[command], **source)
    assert (told.code, f"{work} is a source tree (it has {mark})" in told.err) == (2, True), told.err
    assert "ingest init" in told.err
    assert not (work / "cache").exists()


def test_a_folder_of_a_source_tree_and_the_top_of_the_file_system_are_refused(home, work, monkeypatch):
    (work / "Cargo.toml").touch()
    (work / "inner").mkdir()
    for folder, told in ((work / "inner", "is a source tree"), (Path(work.anchor), "is the top of the file system")):
        monkeypatch.chdir(folder)
        with pytest.raises(UsageError, match=told):
            agree_on_place(settings.load())


def test_a_home_folder_under_version_control_is_no_source_tree(home, monkeypatch, capsys):
    (home / ".git").mkdir()
    (home / "market").mkdir()
    for folder in (home, home / "market"):
        monkeypatch.chdir(folder)
        agree_on_place(settings.load())
        assert capsys.readouterr().err == f"no config.toml: data goes into {folder / 'cache'}\n"


def test_what_writes_nothing_is_not_held_up(ingest, work, source):
    (work / ".git").mkdir()
    for arguments in (("run", *SPAN, "-n"), ("status",), ("list", *SPAN), ("show", "AAPL", *SPAN, "--no-fetch")):
        assert "source tree" not in ingest(*arguments, **source).err


@pytest.mark.parametrize(("typed", "code"), [("n", 2), ("", 0)])
def test_a_terminal_asks(home, work, source, typed, code):
    command = Place(work / "cache", "").command("run", *SPAN)
    bare = Place(work, "").environment()
    environment = {name: value for name, value in bare.items() if not name.startswith("INGEST_")} | source
    ended, shown = at_terminal(command, [("Put it there?", typed)], cwd=work, env=environment)
    assert ended == code, shown
    assert f"data goes into {work / 'cache'}" in shown.replace("\n", " ")
    assert (work / "cache").exists() == (code == 0)


def test_a_relative_root_of_the_users_own_settings_is_in_the_data_folder(home, ingest):
    from platformdirs import user_config_path, user_data_path

    config, data = user_config_path("ingest", appauthor=False), user_data_path("ingest", appauthor=False)
    config.mkdir(parents=True)
    (config / "config.toml").write_text('[cache]\nroot = "market"\n')
    assert settings.load().cache.root == data / "market"
    assert settings.load(config / "config.toml").cache.root == data / "market"
    assert settings.load(given={"cache": {"root": "there"}}).cache.root == Path.cwd() / "there"
    assert settings.load().tracked.lists[0] == config / "stocks.txt"
    (config / "config.toml").write_text("")
    assert settings.load().cache.root == data / "cache"


def test_a_cache_that_an_earlier_version_made_beside_them_stays_in_use(home, ingest, monkeypatch):
    from platformdirs import user_config_path, user_data_path

    config, data = user_config_path("ingest", appauthor=False), user_data_path("ingest", appauthor=False)
    for folder in (config / "cache", data / "cache"):
        folder.mkdir(parents=True)
    (config / "config.toml").write_text("")
    (config / "cache" / "manifest.sqlite").touch()
    assert settings.load().cache.root == config / "cache"
    (data / "cache" / "manifest.sqlite").touch()
    assert settings.load().cache.root == data / "cache"


def test_a_config_toml_in_another_folder_of_that_name_is_not_the_users_own(home, work):
    (work / "ingest").mkdir()
    (work / "ingest" / "config.toml").write_text("")
    assert settings.load(work / "ingest" / "config.toml").cache.root == work / "ingest" / "cache"
