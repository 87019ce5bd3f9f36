"""Settings of wrong types, in other encodings, or meant to break a parser: an error with its place, never a trace."""

import json
import os
from typing import Any

import pytest
from hostile_kit import LONG_EXAMPLES
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.settings import FILE_NAME, SECTIONS, Settings, load, variable

EACH = [(section, name) for section, names in SECTIONS.items() for name in names]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith("INGEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome(file: Any, data: bytes) -> str | None:
    """What is said of a file; None where it is taken."""
    file.write_bytes(data)
    try:
        load(file)
    except UsageError as error:
        said = str(error)
    else:
        return None
    assert len(said) < 3000
    assert said.replace("\n", "").isprintable()
    return said


WRONG = {
    "a boolean": "true",
    "a number": "3.5",
    "a negative number": "-1",
    "a huge number": "1" + "0" * 400,
    "a huge number in hexadecimal": "0x" + "f" * 5000,
    "infinity": "inf",
    "nan": "nan",
    "a text": '"some text, with a blank"',
    "an empty text": '""',
    "a NUL": r'"a\u0000b"',
    "a date": "2025-03-03",
    "a time": "07:32:00",
    "a list": "[1, 2]",
    "a list of lists": "[[[]]]",
    "a table": "{ a = 1 }",
    "a list of tables": "[{ a = 1 }]",
}
TAKEN = {
    ("a number", "timeout_s"),
    ("a text", "log_file"),
    ("a text", "metrics_file"),
    ("a text", "path"),
    ("an empty text", "log_file"),
    ("an empty text", "metrics_file"),
    ("an empty text", "path"),
    ("a text", "on_failure"),
    ("an empty text", "ping_url"),
    ("an empty text", "on_failure"),
    ("a boolean", "save_others"),
    ("a boolean", "enabled"),
    ("a boolean", "into_csv"),
    ("a boolean", "iceberg"),
    ("a boolean", "keep_snapshots_days"),
    ("a number", "connect_timeout_s"),
    ("a number", "read_timeout_s"),
    ("a number", "down_after_s"),
    ("a number", "max_wait_s"),
    ("a number", "keys_timeout_s"),
    *(("a text", name) for name in ("profile", "root", "tracked_dir", "archive_dir", "same_as")),
    ("an empty text", "same_as"),
    ("an empty text", "archive"),
    ("an empty text", "address"),
    ("a number", "no_workers_after_s"),
    *(("an empty text", f"store.{name}") for name in ("endpoint", "region", "profile")),
}


@pytest.mark.parametrize(("section", "name"), EACH, ids=[name for _, name in EACH])
@pytest.mark.parametrize("kind", WRONG)
def test_a_value_of_another_type_names_the_setting_and_what_is_allowed(here, section, name, kind):
    said = outcome(here / FILE_NAME, f"[{section}]\n{name} = {WRONG[kind]}\n".encode())
    if not TAKEN.isdisjoint({(kind, name), (kind, f"{section}.{name}")}):
        assert said is None
    else:
        assert said is not None
        assert f"[{section}] {name}" in said
        assert str(here / FILE_NAME) in said
        assert SECTIONS[section][name].description in said


@pytest.mark.parametrize("value", ["[" * 5000, "1" * 5000, "{", "\udcff", "[1]", '{"a": [[[]]]}'])
@pytest.mark.parametrize(("section", "name"), EACH, ids=[name for _, name in EACH])
def test_nor_is_there_a_trace_for_one_in_the_environment(section, name, value, monkeypatch):
    monkeypatch.setenv(variable(section, name), value)
    try:
        load()
    except UsageError as error:
        assert variable(section, name) in str(error)  # noqa: PT017 - a folder may have an odd name
    else:
        assert name in (
            "root",
            "tracked_dir",
            "archive_dir",
            "profile",
            "same_as",
            "on_failure",
            "log_file",
            "metrics_file",
            "path",
        )


GOOD = "[run]\nmonths = 3 # für drei Monate\n"
FILES = {
    "UTF-16": (GOOD.encode("utf-16"), "is not UTF-8"),
    "UTF-16 without a BOM": (GOOD.encode("utf-16-le"), "not valid TOML|is not UTF-8"),
    "Latin-1": (GOOD.encode("latin-1"), "is not UTF-8"),
    "UTF-8 with a BOM": (GOOD.encode("utf-8-sig"), "byte order mark"),
    "no TOML": (b"<html>\n", "not valid TOML"),
    "INI": (b"[run]\nmonths: 3\n", "not valid TOML"),
    "JSON": (b'{"run": {"months": 3}}', "not valid TOML"),
    "NULs": (bytes(100), "not valid TOML"),
    "thousands of digits": (b"[run]\nmonths = " + b"9" * 5000, "cannot be read as TOML"),
    "thousands of digits behind a point": (b"[source]\nread_timeout_s = 1." + b"9" * 5000 + b"e999", "read_timeout_s"),
    "deep arrays": (b"[tracked]\ntickers = " + b"[" * 5000 + b"]" * 5000, "cannot be read as TOML|not valid TOML"),
    "deep tables": (b"[run]\nmonths = " + b"{a=" * 5000 + b"1" + b"}" * 5000, "cannot be read as TOML|not valid TOML"),
    "dotted without end": (b"a." * 5000 + b"b = 1\n", "[a]|cannot be read as TOML"),
    "a setting twice": (b"[run]\nmonths = 3\nmonths = 4\n", "not valid TOML"),
    "a megabyte and more": (b"#" * (1 << 20) + b"\n", "too large for a settings file"),
    "ten thousand settings": (b"[run]\n" + b"".join(b"x%d = 1\n" % n for n in range(10_000)), "is an unknown setting"),
}


@pytest.mark.parametrize(("data", "reason"), FILES.values(), ids=FILES)
def test_a_file_that_is_none(here, data, reason):
    said = outcome(here / FILE_NAME, data)
    assert said is not None
    assert str(here / FILE_NAME) in said
    assert any(one in said for one in reason.split("|"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(here):
    os.mkfifo(here / FILE_NAME)
    with pytest.raises(UsageError, match="no settings file"):
        load(here / FILE_NAME)
    assert load().config_file is None


KEYS = st.sampled_from([*SECTIONS, *(name for _, name in EACH), "a", "é", "\0", ""])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["64 MiB", "AAPL"])
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
NOISE = st.binary(max_size=80).map(lambda noise: GOOD.encode() + noise)
CHANGED = st.builds(
    lambda section, name, value: f"[{section}]\n{name} = {value}\n".encode(),
    st.sampled_from(sorted(SECTIONS)),
    st.sampled_from([name for _, name in EACH]),
    TREES.map(lambda tree: json.dumps(tree)),
)


def any_flags(flags):
    try:
        assert isinstance(load(given=flags), Settings)
    except UsageError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right


@given(data=NOISE | CHANGED)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_file_is_taken_or_refused(here, data):
    outcome(here / "any.toml", data)


@given(flags=st.dictionaries(KEYS, st.dictionaries(KEYS, TREES, max_size=2), max_size=2))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_flags_are_taken_or_refused(flags):
    any_flags(flags)


@pytest.mark.long
@pytest.mark.timeout(3600)
@given(data=NOISE | CHANGED, flags=st.dictionaries(KEYS, st.dictionaries(KEYS, TREES, max_size=3), max_size=3))
@hypothesis_settings(max_examples=LONG_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_settings_and_many_more(here, data, flags):
    outcome(here / "any.toml", data)
    any_flags(flags)
