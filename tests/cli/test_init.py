"""`ingest init`: what it writes loads and runs, and nothing is ever written over."""

import re
import shlex
import tomllib
from datetime import date

import pytest
from pipeline_kit import Place, market_objects, trading_days
from terminal_kit import at_terminal

from ingest import settings
from ingest.demo.servers import loopback

DAYS = trading_days(date(2025, 3, 3), 2)


def test_what_is_written_loads_and_runs_and_the_next_command_is_named(ingest, tmp_path, home):
    with loopback.serve(market_objects(DAYS)) as server:
        source = {"INGEST_SOURCE__ENDPOINT_URL": server.endpoint_url, "INGEST_FALLBACK__ENABLED": "false"}
        told = ingest("init", "--yes", "--tickers", "AAPL", "--tickers", "BRK.B", **source)
        assert told.code == 0, told.out + told.err
        assert told.out.rstrip().endswith("Next: ingest run")
        chosen = settings.load()
        ran = ingest("run", "--start", str(DAYS[0]), "--end", str(DAYS[1]), **source)
        assert ran.code == 0, ran.err
    assert chosen.config_file.is_relative_to(home)
    assert chosen.cache.root.is_relative_to(home)
    assert [path.read_text().split("\n")[1:3] for path in chosen.tracked.lists] == [["AAPL", "BRK.B"]]
    csvs = sorted(path.name for path in chosen.tracked_path.glob("*.csv"))
    assert csvs == ["AAPL_1d_data.csv", "BRK.B_1d_data.csv"]
    assert list((tmp_path / "work").iterdir()) == []


def test_a_check_that_fails_is_exit_4_and_what_was_written_stays(ingest):
    told = ingest("init", "--here", "--yes", "--profile", "nobody", INGEST_FALLBACK__ENABLED="false")
    assert (told.code, "Next: do what is marked, then ingest check" in told.out) == (4, True)
    assert settings.load().source.profile == "nobody"


def test_every_commented_setting_is_one_with_its_default(ingest, tmp_path):
    ingest("init", "--here", "--yes", "--no-check", "--keys", "environment")
    text = (tmp_path / "work" / "config.toml").read_text()
    assert "MASSIVE_S3_ACCESS_KEY" in text
    (tmp_path / "work" / "config.toml").write_text(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    after = settings.load()
    assert after.model_dump(exclude={"cache", "tracked"}) == settings.Settings().model_dump(
        exclude={"cache", "tracked"}
    )
    assert after.cache.root == tmp_path / "work" / "cache"


@pytest.mark.parametrize("existing", ["config.toml", "stocks.txt", "a link that leads nowhere"])
def test_nothing_is_written_over_something(ingest, tmp_path, existing):
    work = tmp_path / "work"
    if existing in ("config.toml", "stocks.txt"):
        (work / existing).write_text("# mine\n")
    else:
        (work / "config.toml").symlink_to(tmp_path / "nowhere")
    told = ingest("init", "--here", "--yes", "--tickers", "AAPL", "--no-check")
    assert told.code == 2
    assert f"{work / existing.replace('a link that leads nowhere', 'config.toml')} is there already" in told.err
    assert len(list(work.iterdir())) == 1
    assert not (tmp_path / "nowhere").exists()


def test_a_list_that_is_there_is_used_as_it_is(ingest, tmp_path):
    (tmp_path / "work" / "stocks.txt").write_text("NVDA\n")
    assert ingest("init", "--here", "--yes", "--no-check").code == 0
    assert (tmp_path / "work" / "stocks.txt").read_text() == "NVDA\n"
    assert settings.load().tracked.lists == (tmp_path / "work" / "stocks.txt",)


@pytest.mark.parametrize("name", ["my list.txt", 'a"quote\\.txt', "é\u2028.txt"])
def test_a_list_elsewhere_stays_where_it_is(ingest, tmp_path, name):
    (tmp_path / name).write_text("NVDA\n")
    assert ingest("init", "there", "--yes", "--no-check", "--list", str(tmp_path / name)).code == 0
    assert settings.load(tmp_path / "work/there/config.toml").tracked.lists == (tmp_path / name,)
    assert not (tmp_path / "work" / "there" / "stocks.txt").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--tickers", "AA PL"], "the tickers to follow"),
        (["--tickers", "AAPL,MSFT"], "has the character ','; repeat --tickers for each ticker"),
        (["--list", "none.txt"], "does not exist"),
        (["--profile", "a]b"], "[source] profile = 'a]b'"),
        (["--root", "a\nb"], "[cache] root"),
        (["--tickers", "A", "--list", "x"], "exclude each other"),
        (["--profile", "x", "--keys", "environment"], "exclude each other"),
        (["there", "--here"], "exclude each other"),
    ],
)
def test_a_wrong_flag_writes_nothing(ingest, tmp_path, flags, told):
    done = ingest("init", *([] if "--here" in flags else ["--here"]), "--yes", "--no-check", *flags)
    assert (done.code, told in done.err) == (2, True), done.err
    assert list((tmp_path / "work").iterdir()) == []


def test_dry_run_shows_and_writes_nothing(ingest, tmp_path):
    told = ingest("init", "--here", "-n", "--tickers", "AAPL")
    assert (told.code, "AAPL\n" in told.out, "[cache]\n" in told.out) == (0, True, True)
    assert list((tmp_path / "work").iterdir()) == []


def test_without_a_terminal_it_needs_yes(ingest, tmp_path, home):
    told = ingest("init")
    assert (told.code, "--yes" in told.err) == (2, True)
    assert list(home.rglob("*")) == list((tmp_path / "work").iterdir()) == []


def test_settings_in_another_place_are_named_in_the_next_command(ingest, tmp_path):
    told = ingest("init", "a folder", "--yes", "--no-check")
    config = tmp_path / "work" / "a folder" / "config.toml"
    assert told.out.rstrip().endswith(f"Next: ingest check --config {shlex.quote(str(config))}")


def test_on_a_terminal_it_asks(home, tmp_path):
    answers = [
        ("Folder for config.toml", "mine"),
        ("Folder of the cache", ""),
        ("Tickers", "MSFT, SPY"),
        ("AWS credentials section", "environment"),
        ("Write this?", "y"),
    ]
    command = [*Place(tmp_path, "").command("init", "--no-check")]
    code, shown = at_terminal(command, answers, cwd=tmp_path / "work")
    assert code == 0, shown
    for name in ("config.toml", "stocks.txt"):  # as it is written, at 80 columns, too
        assert (tmp_path / "work" / "mine" / name).read_text() in shown
    written = tomllib.loads((tmp_path / "work" / "mine" / "config.toml").read_text())
    assert (written["cache"], written["source"], written["tracked"]) == (
        {"root": "cache"},
        {},
        {"lists": ["stocks.txt"]},
    )
    assert (tmp_path / "work" / "mine" / "stocks.txt").read_text().endswith("\nMSFT\nSPY\n")


def test_on_a_terminal_a_list_may_have_a_blank_in_its_name(home, tmp_path):
    (tmp_path / "work" / "my list.txt").write_text("TSLA\n")
    answers = [("Folder for config.toml", "mine"), ("Folder of the cache", ""), ("Tickers", "my list.txt")]
    answers += [("AWS credentials section", ""), ("Write this?", "y")]
    command = [*Place(tmp_path, "").command("init", "--no-check")]
    code, shown = at_terminal(command, answers, cwd=tmp_path / "work")
    assert code == 0, shown
    written = tomllib.loads((tmp_path / "work" / "mine" / "config.toml").read_text())
    assert written["tracked"] == {"lists": [str(tmp_path / "work" / "my list.txt")]}


def test_on_a_terminal_no_is_no(home, tmp_path):
    command = Place(tmp_path, "").command("init", "--here", "--tickers", "A", "--profile", "x", "--root", "y")
    code, shown = at_terminal(command, [("Write this?", "n")], cwd=tmp_path / "work")
    assert (code, "Nothing was written." in shown) == (0, True)
    assert list((tmp_path / "work").iterdir()) == []


def test_settings_go_where_the_variable_says_and_are_found_there(ingest, tmp_path):
    told = ingest("init", "--yes", "--no-check", INGEST_CONFIG=str(tmp_path / "etc" / "mine.toml"))
    assert (told.code, told.out.rstrip().endswith("Next: ingest check")) == (0, True), told.err
    assert settings.load(tmp_path / "etc" / "mine.toml").cache.root == tmp_path / "etc" / "cache"


def test_a_variable_that_names_other_settings_is_said(ingest, tmp_path):
    told = ingest("init", "--here", "--yes", "--no-check", INGEST_CONFIG=str(tmp_path / "none.toml"))
    assert (told.code, "INGEST_CONFIG names other settings" in told.err, " --config " in told.out) == (0, True, True)
