"""Lists of tickers in other encodings, of other kinds and of any size: read, or refused with a reason, and at once."""

import json
import os
from datetime import date

import pytest
from hostile_kit import LONG_EXAMPLES, command, row
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pipeline_kit import HEADER, Place, key

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import UsageError
from ingest.market.catalogue import STOCKS_DAY
from ingest.settings.lists import read_list, tracked

DAY = date(2025, 3, 3)
TEXT = "\n".join([HEADER, row("AAPL"), row("T99999"), ""]).encode()


@pytest.fixture
def place(loopback_keys, tmp_path):
    with loopback.serve({key(DAY): pack(TEXT)}) as server:
        yield Place(tmp_path / "cache", server.endpoint_url)


def run(place, *lists):
    named = [word for one in lists for word in ("--tickers", one)]
    return command(place, "run", "--no-fallback", "--start", DAY, "--end", DAY, *named)


REFUSED = {
    "UTF-16 with a BOM": ("AAPL\nMSFT\n".encode("utf-16"), "is not UTF-8"),
    "UTF-16 without": ("AAPL\nMSFT\n".encode("utf-16-le"), r"'\x00'"),
    "UTF-16, big end first": ("AAPL\nMSFT\n".encode("utf-16-be"), r"'\x00'"),
    "UTF-32": ("AAPL\n".encode("utf-32"), "is not UTF-8"),
    "Latin-1": ("# Börse\nAAPL\n".encode("latin-1"), "line 1: this is not UTF-8"),
    "UTF-7": (b"A+AGE-\n+ADw-x, y", "line 2"),
    "NULs": (b"AAPL\n\0\0\0\n", "line 2"),
    "a NUL in a ticker": (b"AA\0PL\n", "line 1"),
    "columns": (b"AAPL,Apple\nMSFT,Microsoft\n", "','"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "line 1"),
    "a line of ten megabytes, with a blank in it": (b"X" * 10_000_000 + b" Y", "' '"),
    "100 MB": (b"AAPL\n" * 20_000_000, "larger than 16 MiB"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_list_is_refused_with_its_place(place, tmp_path, data, reason):
    file = tmp_path / "mine.txt"
    file.write_bytes(data)
    told = run(place, file)
    assert (told.code, told.err.startswith("error: "), str(file) in told.err) == (2, True, True)
    assert reason in told.err
    assert len(told.err) < 500
    assert not (place.root / "manifest.sqlite").exists()


def test_a_folder(place, tmp_path):
    (tmp_path / "mine.txt").mkdir()
    told = run(place, tmp_path / "mine.txt")
    assert (told.code, "cannot be read" in told.err) == (2, True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("how", ["run", "setting", "track", "read"])
@pytest.mark.timeout(20)
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(place, tmp_path, how):
    pipe = tmp_path / "mine.txt"
    os.mkfifo(pipe)
    lists = {"INGEST_TRACKED__LISTS": json.dumps([str(pipe)])}
    if how == "read":
        with pytest.raises(UsageError, match=r"it is a (pipe|device), not a file"):
            read_list(pipe)
        return
    asked = {
        "run": lambda: run(place, pipe),
        "setting": lambda: command(place, "run", "--no-fallback", "--start", DAY, "--end", DAY, **lists),
        "track": lambda: command(place, "track", "add", "AAPL", **lists),
    }
    told = asked[how]()
    assert (told.code, "it is a pipe, not a file" in told.err) == (2, True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.timeout(20)
def test_nor_one_that_is_never_closed(tmp_path):
    pipe = tmp_path / "mine.txt"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    try:
        with pytest.raises(UsageError, match=r"it is a (pipe|device), not a file"):
            read_list(pipe)
    finally:
        os.close(writer)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device(path):
    if os.path.exists(path):  # noqa: PTH110
        with pytest.raises(UsageError, match=r"it is a (pipe|device), not a file"):
            tracked(STOCKS_DAY.csv_name, required=[path])


def test_a_hundred_thousand_tickers(place, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("\n".join(f"T{n:05}" for n in range(100_000)))
    told = run(place, file)
    assert told.code == 0, told.err
    assert sorted(path.name for path in place.tracked.glob("*.csv")) == ["AAPL_1d_data.csv", "T99999_1d_data.csv"]


def test_a_byte_order_mark_carriage_returns_and_no_last_line_end(place, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_bytes("\ufeff# mine\r\nAAPL\r\rT99999".encode())
    assert run(place, file).code == 0
    assert place.reassembled(DAY) == TEXT
    assert sorted(place.csv("AAPL")) == sorted(place.csv("T99999")) == [str(DAY)]


def any_list(data, path):
    path.write_bytes(data)
    try:
        found = read_list(path)
    except UsageError as error:
        assert str(path) in str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert all(ticker.isprintable() and " " not in ticker for ticker in found)


MIXED = st.lists(
    st.sampled_from(["AAPL", "é", "#", "\ufeff", "\r", "\n", "\r\n", "\u2028", "\0", " ", ",", "\x85", "\x1c"])
).map("".join)
ENCODED = st.builds(str.encode, MIXED, st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-7", "utf-32"]))


@given(data=st.binary() | ENCODED)
def test_any_list(data, tmp_path_factory):
    any_list(data, tmp_path_factory.getbasetemp() / "any list")


@pytest.mark.long
@pytest.mark.timeout(3600)
@given(data=st.binary() | ENCODED)
@hypothesis_settings(max_examples=LONG_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_list_and_many_more(data, tmp_path_factory):
    any_list(data, tmp_path_factory.getbasetemp() / "any list")
