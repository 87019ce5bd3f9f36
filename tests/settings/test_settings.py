"""Settings: what holds, where it came from, and what is said when it is wrong."""

import os
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.cli.rendering.hints import dataset_flag
from ingest.errors import UsageError, printable
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.settings import FILE_NAME, SECTIONS, CacheSettings, Settings, load, variable
from ingest.settings.sections.notify import Notify
from ingest.settings.sections.store import Store

SHIPPED = Path(__file__).parents[2] / FILE_NAME
SECRET = "wJalrXUtnFEMI"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, an empty user's config folder, and nothing of ours in the environment."""
    for name in [name for name in os.environ if name.upper().startswith("INGEST_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(folder: Path, text: str | bytes, name: str = FILE_NAME) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(**arguments: Any) -> str:
    with pytest.raises(UsageError) as caught:
        load(**arguments)
    return str(caught.value)


def user_config() -> Path:
    from platformdirs import user_config_path

    return user_config_path("ingest", appauthor=False)


def origins(settings: Settings) -> dict[tuple[str, str], str]:
    return {(one.section, one.name): one.origin for one in settings.each()}


class TestShippedFile:
    def test_equals_the_built_in_defaults(self, here: Path) -> None:
        built_in = load()
        assert built_in.config_file is None
        shipped = load(write(here, SHIPPED.read_bytes()))
        assert shipped.model_dump() == built_in.model_dump()
        assert shipped.config_file is not None

    def test_has_each_setting_and_no_other(self) -> None:
        table = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
        assert {part: list(names) for part, names in table.items()} == {
            part: list(names) for part, names in SECTIONS.items()
        }

    def test_comments_each_setting(self) -> None:
        lines = SHIPPED.read_text(encoding="utf-8").splitlines()
        for before, line in pairwise(lines):
            assert " = " not in line or line.startswith("#") or before.startswith("# "), line

    def test_sections_are_those_of_the_class(self) -> None:
        assert list(SECTIONS) == list(Settings.model_fields)


class TestPriorities:
    def test_defaults(self, here: Path) -> None:
        settings = load()
        assert settings.config_file is None
        assert settings.source.endpoint_url == "https://files.massive.com"
        assert settings.limits.max_bytes_in_flight == 64 * 2**20
        assert settings.cache.root == here / "cache"
        assert set(origins(settings).values()) == {"built-in default"}

    def test_flag_environment_file_default(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = write(here, "[source]\nconcurrency = 1\nattempts = 1\nregion = 'a'\n")
        monkeypatch.setenv("INGEST_SOURCE__CONCURRENCY", "2")
        monkeypatch.setenv("INGEST_SOURCE__ATTEMPTS", "2")
        settings = load(given={"source": {"concurrency": 3, "attempts": None}, "run": {"months": None}})
        source = settings.source
        assert (source.concurrency, source.attempts, source.region, source.bucket) == (3, 2, "a", "flatfiles")
        said = origins(settings)
        assert said["source", "concurrency"] == "argument concurrency"
        assert said["source", "attempts"] == "environment variable INGEST_SOURCE__ATTEMPTS"
        assert said["source", "region"] == str(file)
        assert said["source", "bucket"] == "built-in default"

    def test_every_setting_can_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = {
            "checksums": "when_supported",
            "save_others": "false",
            "max_bytes_in_flight": "2 MiB",
            "max_unpacked_bytes": "3 MiB",
        }
        values |= {"enabled": "false", "into_csv": "true"}
        values |= {"endpoint_url": "http://127.0.0.1:9000/", "lists": '["/a.txt"]', "tickers": '["TpC", "BRK.B"]'}
        values |= {"ping_url": "https://h/x", "on_failure": "mail me", "apprise": '["json://h"]', "when": "always"}
        values |= {"log_file": "/l", "metrics_file": "/m", "max_log_bytes": "1 MB", "path": "/r"}
        values |= {"archive": "s3://bucket/p", "tiers": "archive", "endpoint": "http://store:9000"}
        values |= {"place": "parts", "iceberg": "true", "catalog": "mine"}
        values |= {"kind": "dask", "address": "tls://scheduler:8786"}
        texts = {"bucket", "profile", "region", "root", "tracked_dir", "archive_dir"}
        for section, names in SECTIONS.items():
            for name in names:
                values["datasets"] = '["crypto-day"]' if section == "run" else '{"crypto-day": ["/c.txt"]}'
                value = values.get(name, name.replace("_", "-") if name in texts else "7")
                monkeypatch.setenv(variable(section, name), value)
        settings = load()
        assert all(origin.startswith("environment variable INGEST_") for origin in origins(settings).values())
        assert settings.source.endpoint_url == "http://127.0.0.1:9000"
        assert settings.tracked.tickers == ("TpC", "BRK.B")
        assert settings.tracked.datasets == {"crypto-day": (Path("/c.txt"),)}
        assert settings.run.datasets == ("crypto-day",)
        assert (settings.run.log_file, settings.run.max_log_bytes) == ("/l", 1_000_000)
        assert settings.report.path == "/r"
        assert settings.archive.save_others is False
        assert (settings.fallback.enabled, settings.fallback.into_csv) == (False, True)
        assert settings.source.connect_timeout_s == 7.0
        assert settings.notify == Notify(
            ping_url="https://h/x", on_failure=("mail", "me"), apprise=("json://h",), when="always", timeout_s=7
        )

    def test_empty_variables_are_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INGEST_RUN__MONTHS", "")
        monkeypatch.setenv("INGEST_CONFIG", "")
        assert load().run.months == 24

    def test_settings_made_by_hand_ignore_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INGEST_RUN__MONTHS", "7")
        settings = Settings(cache=CacheSettings(root=Path("x")))
        assert settings.run.months == 24
        assert settings.manifest_path == Path("x/manifest.sqlite")
        assert set(origins(settings).values()) == {"set by the program"}

    def test_frozen(self) -> None:
        settings = load()
        with pytest.raises(ValueError, match="frozen"):
            settings.run.months = 3  # type: ignore[misc]
        with pytest.raises(ValueError, match="frozen"):
            settings.run = settings.run  # type: ignore[misc]


class TestWhichFile:
    def test_order(self, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        personal = write(user_config(), "")
        assert load().config_file == personal
        local = write(here, "")
        assert load().config_file == local
        by_variable = write(tmp_path, "", "variable.toml")
        monkeypatch.setenv("INGEST_CONFIG", str(by_variable))
        assert load().config_file == by_variable
        by_flag = write(tmp_path, "", "flag.toml")
        assert load(by_flag).config_file == by_flag

    def test_named_files_must_exist(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert refused(config=Path("no.toml")) == f"no settings file {here / 'no.toml'}"
        assert "no settings file" in refused(config=here)
        monkeypatch.setenv("INGEST_CONFIG", "gone.toml")
        assert refused() == f"no settings file {here / 'gone.toml'} (INGEST_CONFIG)"

    def test_home_is_expanded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = write(tmp_path / "home", "", "mine.toml")
        monkeypatch.setenv("INGEST_CONFIG", "~/mine.toml")
        assert load().config_file == file

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
    def test_unreadable_file(self, here: Path) -> None:
        file = write(here, "")
        file.chmod(0)
        assert str(file) in refused()

    def test_bad_toml_names_the_line(self, here: Path) -> None:
        file = write(here, "[source]\nbucket = \n")
        text = refused()
        assert str(file) in text
        assert "line 2" in text

    def test_bad_encoding_names_the_line(self, here: Path) -> None:
        write(here, b'[source]\nbucket = "\xff"\n')
        assert "not UTF-8 (line 2)" in refused()

    def test_byte_order_mark(self, here: Path) -> None:
        write(here, b"\xef\xbb\xbf[run]\nmonths = 3\n")
        assert "without a byte order mark" in refused()


class TestPaths:
    def test_count_from_the_files_folder(self, here: Path, tmp_path: Path) -> None:
        text = '[cache]\nroot = "../data"\narchive_dir = "/big/archive"\n[tracked]\nlists = ["l/a.txt", "/b.txt"]'
        settings = load(write(tmp_path / "etc", text))
        assert settings.cache.root == tmp_path / "data"
        assert settings.tracked_path == tmp_path / "data" / "data_cache"
        assert settings.archive_path == Path("/big/archive")
        assert settings.manifest_path == tmp_path / "data" / "manifest.sqlite"
        assert settings.quarantine_path == tmp_path / "data" / "quarantine"
        assert settings.tracked.lists == (tmp_path / "etc" / "l" / "a.txt", Path("/b.txt"))

    def test_defaults_and_the_environment_count_from_it_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = write(tmp_path / "etc", "")
        assert load(file).cache.root == tmp_path / "etc" / "cache"
        monkeypatch.setenv("INGEST_CACHE__ROOT", "elsewhere")
        monkeypatch.setenv("INGEST_TRACKED__LISTS", '["a.txt"]')
        settings = load(file)
        assert settings.cache.root == tmp_path / "etc" / "elsewhere"
        assert settings.tracked.lists == (tmp_path / "etc" / "a.txt",)

    def test_those_of_flags_count_from_the_working_folder(self, here: Path, tmp_path: Path) -> None:
        file = write(tmp_path / "etc", "")
        settings = load(file, {"cache": {"root": Path("mine")}, "tracked": {"lists": ["a.txt"]}})
        assert settings.cache.root == here / "mine"
        assert settings.tracked.lists == (here / "a.txt",)

    def test_each_dataset_has_lists_of_its_own(self, here: Path, tmp_path: Path) -> None:
        text = '[tracked]\nlists = ["a.txt"]\ntickers = ["T"]\n[tracked.datasets]\n"us_options_opra/day_aggs_v1" = '
        text += '["o.txt"]'
        settings = load(write(tmp_path / "etc", text))
        assert settings.lists_of(named("options-day")) == (tmp_path / "etc" / "o.txt",)
        assert settings.lists_of(named("crypto-day")) == (tmp_path / "etc" / "crypto-day.txt",)
        assert settings.lists_of(STOCKS_DAY) == (tmp_path / "etc" / "a.txt",)
        assert (settings.tickers_of(STOCKS_DAY), settings.tickers_of(named("stocks-minute"))) == (("T",), ())
        assert load().lists_of(named("crypto-day")) == (here / "crypto-day.txt",)

    def test_home_is_expanded(self, tmp_path: Path) -> None:
        assert load(given={"cache": {"root": "~/stocks"}}).cache.root == tmp_path / "home" / "stocks"

    @pytest.mark.parametrize("archive", ["data_cache", "Data_Cache/x", "../cache/data_cache", ".", ".."])
    def test_tiers_may_not_overlap(self, archive: str) -> None:
        text = refused(given={"cache": {"archive_dir": archive}})
        assert text.startswith("[cache] archive_dir = ")
        assert "outside tracked_dir" in text

    def test_nor_differ_in_case_alone(self) -> None:
        assert "outside tracked_dir" in refused(given={"cache": {"tracked_dir": "Data", "archive_dir": "data"}})


WRONG = [
    ("source", "endpoint_url", "files.massive.com"),
    ("source", "endpoint_url", "ftp://files.massive.com"),
    ("source", "endpoint_url", "https://"),
    ("source", "endpoint_url", "https://files.massive.com/flatfiles"),
    ("source", "endpoint_url", "https://files.massive.com#x"),
    ("source", "endpoint_url", "https://files.massive.com:99999"),
    ("source", "endpoint_url", "https://files.massive.com:0"),
    ("source", "endpoint_url", "https://[::1"),
    ("source", "endpoint_url", "https://files.mässive.com"),
    ("source", "endpoint_url", "https://files.massive.com\\.evil.example"),
    ("source", "endpoint_url", "https://files.massive.com\n"),
    ("source", "endpoint_url", "http://files.massive.com"),
    ("source", "endpoint_url", "http://127.0.0.1.evil.example"),
    ("source", "endpoint_url", 3),
    ("source", "bucket", "Flat/Files"),
    ("source", "profile", ""),
    ("source", "profile", "a]b"),
    ("source", "region", "us east"),
    ("source", "checksums", "always"),
    ("source", "concurrency", 0),
    ("source", "concurrency", 513),
    ("source", "concurrency", True),
    ("source", "concurrency", 1.5),
    ("source", "concurrency", "many"),
    ("source", "connect_timeout_s", 0),
    ("source", "read_timeout_s", float("nan")),
    ("source", "read_timeout_s", float("inf")),
    ("source", "read_timeout_s", True),
    ("source", "attempts", -1),
    ("source", "down_after_s", "soon"),
    ("cache", "root", ""),
    ("cache", "root", "a\0b"),
    ("cache", "root", 5),
    ("cache", "tracked_dir", []),
    ("cache", "archive", "bucket/prefix"),
    ("cache", "archive", "https://bucket.s3.amazonaws.com/prefix"),
    ("cache", "archive", "file:///srv/parts"),
    ("cache", "archive", "memory:///"),
    ("cache", "archive", "s3:bucket"),
    ("cache", "archive", "s3://"),
    ("cache", "archive", "s3:///prefix"),
    ("cache", "archive", "s3://Bucket"),
    ("cache", "archive", "s3://host:9000/bucket"),
    ("cache", "archive", "s3://bucket/a?region=eu"),
    ("cache", "archive", "s3://bucket/a#b"),
    ("cache", "archive", "s3://bucket/a//b"),
    ("cache", "archive", "s3://bucket/../b"),
    ("cache", "archive", "s3://bucket/ä"),
    ("cache", "archive", "s3://key:secret@bucket/a"),
    ("cache", "archive", 5),
    ("store", "tiers", "tracked"),
    ("store", "endpoint", "store:9000"),
    ("store", "endpoint", "https://key:secret@store"),
    ("store", "endpoint", "https://store/?key=x"),
    ("store", "region", "us east"),
    ("store", "profile", "a]b"),
    ("store", "keep_replaced_h", 0),
    ("tracked", "lists", "stocks.txt"),
    ("tracked", "lists", [1]),
    ("tracked", "tickers", ["AAPL, MSFT"]),
    ("tracked", "tickers", [""]),
    ("tracked", "tickers", "AAPL"),
    ("archive", "save_others", "perhaps"),
    ("fallback", "enabled", "perhaps"),
    ("fallback", "max_implicit_files", -1),
    ("limits", "max_bytes_in_flight", 0),
    ("limits", "max_bytes_in_flight", "64,000,000"),
    ("limits", "max_bytes_in_flight", "64 MiB or so"),
    ("limits", "max_bytes_in_flight", "1 KiB"),
    ("limits", "max_bytes_in_flight", "9" * 400),
    ("limits", "max_bytes_in_flight", True),
    ("limits", "max_unpacked_bytes", 0),
    ("limits", "max_unpacked_bytes", "2 TiB"),
    ("limits", "max_unpacked_bytes", True),
    ("run", "months", 0),
    ("run", "months", 1201),
    ("run", "datasets", []),
    ("run", "datasets", "stocks-day"),
    ("run", "datasets", ["stock-day"]),
    ("run", "datasets", [1]),
    ("tracked", "datasets", ["a.txt"]),
    ("tracked", "datasets", {"stock-day": ["a.txt"]}),
    ("tracked", "datasets", {"stocks-day": ["a.txt"]}),
    ("tracked", "datasets", {"crypto-day": "a.txt"}),
    ("tracked", "datasets", {"crypto-day": ["a.txt", ""]}),
]


class TestWrongValues:
    @pytest.mark.parametrize(("section", "name", "value"), WRONG)
    def test_says_name_value_place_and_what_is_allowed(self, section: str, name: str, value: Any) -> None:
        text = refused(given={section: {name: value}})
        assert text.startswith(f"[{section}] {name}")
        assert f"(argument {name})" in text
        assert f"must be {SECTIONS[section][name].description}" in text
        assert "\n" not in text

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("file:///srv", "it needs s3://, gs://, az://, and a bucket"),
            ("s3:///prefix", "it has no bucket"),
            ("s3://bucket/a?region=eu", "a query or a fragment does not belong in it"),
            ("s3://key:secret@bucket/a", "keys do not belong in it"),
        ],
    )
    def test_of_a_store_say_the_reason_and_no_key(self, url: str, reason: str) -> None:
        text = refused(given={"cache": {"archive": url}})
        assert reason in text
        assert "secret" not in text

    def test_in_the_file(self, here: Path) -> None:
        file = write(here, "[source]\nconcurrency = 900\n")
        assert refused() == f"[source] concurrency = 900 ({file}): must be a whole number from 1 to 512"

    def test_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INGEST_SOURCE__CONCURRENCY", "900")
        place = "environment variable INGEST_SOURCE__CONCURRENCY"
        assert refused() == f"[source] concurrency = '900' ({place}): must be a whole number from 1 to 512"

    @pytest.mark.parametrize("value", ["stocks.txt", "[a", "5", "null", '{"a": 1}'])
    def test_lists_in_the_environment_are_json(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INGEST_TRACKED__LISTS", value)
        text = refused()
        assert text.startswith("[tracked] lists = ")
        assert "INGEST_TRACKED__LISTS" in text
        assert text.endswith("as JSON")

    def test_an_overridden_wrong_value_does_no_harm(self, here: Path) -> None:
        write(here, "[run]\nmonths = 0\n")
        assert load(given={"run": {"months": 2}}).run.months == 2

    def test_all_are_said_at_once(self, here: Path) -> None:
        write(here, "[run]\nmonths = 0\n[source]\nattempts = 0\n")
        assert [line.split(" = ")[0] for line in refused().splitlines()] == ["[source] attempts", "[run] months"]

    def test_items_are_counted_from_one(self) -> None:
        text = refused(given={"tracked": {"tickers": ["AAPL", "MS FT"]}})
        assert text.startswith("[tracked] tickers item 2 = 'MS FT'")

    def test_a_dataset_that_does_not_exist_is_named_with_what_is_near(self) -> None:
        text = refused(given={"run": {"datasets": ["crypto-day", "stock-day"]}})
        assert text.startswith("[run] datasets item 2 = 'stock-day'")
        assert "did you mean stocks-day" in text
        lists = {"options-day": ["a.txt", ""]}
        assert refused(given={"tracked": {"datasets": lists}}).startswith("[tracked] datasets options-day item 2 = ''")

    def test_a_dataset_that_is_named_twice_is_taken_once(self) -> None:
        names = ["crypto-day", "us_stocks_sip/day_aggs_v1", "stocks-day"]
        assert load(given={"run": {"datasets": names}}).run.datasets == ("crypto-day", "stocks-day")

    def test_long_values_are_cut(self) -> None:
        assert len(refused(given={"source": {"region": "x" * 5000}})) < 300

    @pytest.mark.parametrize(
        "url", [f"https://me:{SECRET}@files.massive.com", f"https://h.example/?X-Amz-Signature={SECRET}"]
    )
    def test_keys_in_a_url_are_not_shown(self, url: str) -> None:
        with pytest.raises(UsageError) as caught:
            load(given={"source": {"endpoint_url": url}})
        assert SECRET not in f"{caught.value} {caught.value.__cause__}"
        assert "[source] endpoint_url" in str(caught.value)

    @pytest.mark.parametrize(
        "url", ["https://s3.example:8443", "http://localhost:1", "http://[::1]:9000", "HTTPS://Files.Massive.com/"]
    )
    def test_good_endpoints(self, url: str) -> None:
        endpoint = load(given={"source": {"endpoint_url": url}}).source.endpoint_url
        assert endpoint.lower() == url.lower().rstrip("/")

    @pytest.mark.parametrize(
        ("text", "size"),
        [("64 MiB", 2**26), ("64MB", 64 * 10**6), ("1.5 gib", 3 * 2**29), ("2000000", 2000000), ("3000000 B", 3000000)],
    )
    def test_sizes(self, text: str, size: int) -> None:
        assert load(given={"limits": {"max_bytes_in_flight": text}}).limits.max_bytes_in_flight == size


class TestWrongNames:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "[source]\nendpoint = 'x'",
                "[source] endpoint is an unknown setting ({file}): did you mean endpoint_url?",
            ),
            ("[source]\nBucket = 'x'", "[source] Bucket is an unknown setting ({file}): did you mean bucket?"),
            ("[run]\nqwertz = 1", "[run] qwertz is an unknown setting ({file}); there are months"),
            ("[run]\n[sorce]\nx = 1", "[sorce] is an unknown section ({file}): did you mean source?"),
            ("[Run]\nmonths = 1\n[run]", "[Run] is an unknown section ({file}): did you mean run?"),
            ("months = 3\n[run]", "[months] is an unknown section ({file}): months is a setting of [run]"),
            ("run = 3", "run must be a section, [run] ({file})"),
            ("config_file = 'x'\n[run]", "[config_file] is an unknown section ({file})"),
        ],
    )
    def test_in_the_file(self, here: Path, text: str, said: str) -> None:
        file = write(here, text)
        assert said.format(file=file) in refused()

    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("INGEST_SOURCE__ENDPOINTURL", ": did you mean INGEST_SOURCE__ENDPOINT_URL?"),
            ("ingest_sorce__bucket", ": did you mean INGEST_SOURCE__BUCKET?"),
            ("INGEST_MONTHS", ": did you mean INGEST_RUN__MONTHS?"),
            ("INGEST_SOURCE", " is an unknown setting"),
            ("INGEST_RUN__MONTHS__X", ": did you mean INGEST_RUN__MONTHS?"),
        ],
    )
    def test_in_the_environment(self, name: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, "{}")
        text = refused()
        assert name.upper() in text
        assert advice in text

    def test_other_variables_are_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INGEST_TEST_SERVER", "1")
        assert load().run.months == 24

    def test_given_as_arguments(self) -> None:
        said = "[run] month is an unknown setting (argument): did you mean months?"
        assert refused(given={"run": {"month": 3}}) == said

    def test_a_file_of_another_program(self, here: Path) -> None:
        file = write(here, "title = 'My site'\n[params]\ncolor = 'red'\n")
        first, *_, last = refused().splitlines()
        assert first == f"{file} has none of ingest's sections and may belong to another program"
        assert "INGEST_CONFIG=FILE" in last

    def test_a_file_that_was_named_is_ours(self, here: Path) -> None:
        assert "another program" not in refused(config=write(here, "[params]\ncolor = 'red'\n"))

    def test_many_are_cut(self, here: Path) -> None:
        write(here, "\n".join(f"x{number} = 1" for number in range(500)))
        assert len(refused().splitlines()) < 12

    @pytest.mark.parametrize(
        "text",
        [
            "[source]\naccess_key = '{}'",
            "[source]\nsecret_access_key = '{}'",
            "[source]\naws_anything = '{}'",
            "[source]\nsession_token = '{}'",
            "[source.x]\npassword = '{}'",
            "[massive]\naws_secret_access_key = '{}'",
            "[a.b.c]\nsecret = '{}'",
            "aws_secret_access_key = '{}'\n[run]",
            "[credentials]\nx = '{}'",
        ],
    )
    def test_keys_belong_elsewhere(self, here: Path, text: str) -> None:
        write(here, text.format(SECRET))
        said = refused()
        assert "~/.aws/credentials" in said
        assert SECRET not in said

    def test_keys_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INGEST_SOURCE__SECRET_ACCESS_KEY", SECRET)
        said = refused()
        assert "~/.aws/credentials" in said
        assert SECRET not in said


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(
    section=st.sampled_from(sorted(SECTIONS)) | st.text(),
    name=st.sampled_from(sorted({name for names in SECTIONS.values() for name in names})) | st.text(),
    value=SCALARS | st.lists(SCALARS) | st.dictionaries(st.text(), SCALARS),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_is_taken_or_refused_with_the_settings_name(section: str, name: str, value: Any) -> None:
    try:
        settings = load(given={section: {name: value}})
    except UsageError as error:
        assert all(printable(part) in str(error) for part in section.split("\n"))  # noqa: PT017 - both outcomes are right
    else:
        assert isinstance(settings, Settings)


def test_importing_settings_imports_nothing_heavy() -> None:
    heavy = {"aiobotocore", "anyio", "botocore", "exchange_calendars", "pandas", "platformdirs", "polars", "rich"}
    code = f"import sys, ingest.settings; print(sorted({heavy!r} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("datasets", "flags"),
    [
        (["stocks-day"], ("", " --dataset crypto-day")),
        (["crypto-day"], (" --dataset stocks-day", "")),
        (["stocks-day", "crypto-day"], (" --dataset stocks-day", " --dataset crypto-day")),
    ],
)
def test_a_command_names_a_dataset_unless_it_takes_that_one_alone(datasets: list[str], flags: tuple[str, str]) -> None:
    usual = load(given={"run": {"datasets": datasets}}).run.datasets
    assert (dataset_flag("stocks-day", usual), dataset_flag("crypto-day", usual)) == flags


def test_a_dataset_of_two_names_has_its_lists_under_one(here: Path) -> None:
    write(here, '[tracked.datasets]\ncrypto-day = ["a.txt"]\n"global_crypto/day_aggs_v1" = ["b.txt"]\n')
    assert "global_crypto/day_aggs_v1 and crypto-day are one dataset: name it once" in refused()


def test_an_endpoint_of_a_store_has_one_spelling() -> None:
    for spelt in ("HTTP://Store.Example:9000/", "http://store.example:9000", "Http://STORE.example:9000//"):
        assert Store(endpoint=spelt).endpoint == "http://store.example:9000"
    assert Store(endpoint="https://host/A/b/").endpoint == "https://host/A/b"
