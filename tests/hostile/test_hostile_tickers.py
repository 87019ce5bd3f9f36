"""Tickers that are paths, devices, formulas, markup or hardly text: nothing that bears one leaves the cache."""

import json
import os
from datetime import date, timedelta
from pathlib import Path, PureWindowsPath

import pytest
from fence import fenced
from hostile_kit import LONG, LONG_EXAMPLES, TICKERS, command, csv_path, row
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pipeline_kit import HEADER, Place, key, sampled, trading_days, window, write_keys

from ingest.demo.files.market import pack
from ingest.demo.servers import answering, loopback
from ingest.demo.servers.faults import Status
from ingest.errors import IngestError, IngestWarning, NotFound, UsageError
from ingest.files import durable
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.tickers import MAX_NAME_BYTES, file_stem, ticker_of
from ingest.reading import history
from ingest.reading.adjusting.actions import HistoryQuery

DAYS = trading_days(date(2025, 3, 3), 3)
TEXTS = {
    day: "\n".join([HEADER, *(row(one, f"{number}.{n}") for number, one in enumerate(TICKERS, 1)), ""]).encode()
    for n, day in enumerate(DAYS, 1)
}
NAMED = [one for one in TICKERS if STOCKS_DAY.csv_name(one)]
IDS = [ascii(one)[1:17] for one in NAMED]
PRICES = ("date", "open", "high", "low", "close", "volume")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three days of such tickers, all of them tracked that can be; the server is gone."""
    tmp = tmp_path_factory.mktemp("tickers")
    write_keys(tmp / "credentials")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(tmp / "none"))
        patch.setenv("HOME", str(tmp / "home"))
        with loopback.serve({key(day): pack(text) for day, text in TEXTS.items()}) as server:
            place = Place(tmp / "cache", server.endpoint_url)
            place.root.mkdir()
            with fenced(place.root, around=tmp) as written:
                ran = place.run(*window(DAYS), tracked=NAMED)
        assert ran.finished.exit_code == 0
        assert str(csv_path(place, "CON.A")).removesuffix(".csv") in " ".join(written)
        yield place


@pytest.mark.parametrize("day", DAYS)
def test_nothing_is_lost(place, day):
    assert place.state(day) == ("committed", "listed")
    assert place.reassembled(day) == TEXTS[day]


def test_each_has_a_file_of_its_own_also_without_case(place):
    names = [path.name for path in place.tracked.iterdir() if path.is_file()]
    assert sorted(names) == sorted(STOCKS_DAY.csv_name(one) for one in NAMED)
    assert len({name.casefold() for name in names}) == len(NAMED)
    assert all(Path(name).name == PureWindowsPath(name).name == name for name in names)


@pytest.mark.parametrize("ticker", NAMED, ids=IDS)
def test_its_file_has_its_rows(place, ticker):
    number = TICKERS.index(ticker) + 1
    lines = csv_path(place, ticker).read_bytes().decode().split("\n")
    closes = [f"{number}.{n}" for n in (1, 2, 3)]
    assert lines[1:-1] == [f"{day},{one},{one},{one},{one},1000.0" for day, one in zip(DAYS, closes, strict=True)]


def test_one_that_is_too_long_is_archived_and_read(place):
    assert LONG not in NAMED
    rows = history.history(place.settings(), STOCKS_DAY, HistoryQuery([LONG], fetch=False))
    assert rows["ticker"].to_list() == [LONG] * 3


@pytest.mark.parametrize("ticker", sampled(TICKERS, 2), ids=[ascii(one)[1:17] for one in TICKERS])
def test_history_and_show(place, ticker, tmp_path):
    with fenced(place.root, around=place.root.parent):
        rows = history.history(place.settings(), STOCKS_DAY, HistoryQuery([ticker], fetch=False))
        assert rows["date"].to_list() == DAYS
        arguments = ["--start", DAYS[0], "--end", DAYS[-1], "--no-fetch", "--adjust", "none"]
        told = [command(place, "show", *arguments, *more, "--", ticker) for more in ([], ["--json"], ["--csv"])]
    for one in told:
        assert one.code == 0 or (one.code, one.err[:7]) == (2, "error: "), one
    if told[1].code == 0:
        shown = json.loads(told[1].out, parse_constant=pytest.fail)
        assert shown["ticker"] == ticker


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_exported_files_stay_in_their_folder(place, kind):
    folder = place.root.parent / f"out-{kind}"
    with fenced(place.root, folder, around=place.root.parent):
        done = command(place, "export", "--format", kind, "--out", folder, "--", *NAMED)
    assert done.code == 0, done.err
    names = {".ingest-export.json", *(f"{file_stem(one)}_1d.{kind}" for one in NAMED)}
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.parametrize("ticker", sampled(TICKERS, 2), ids=[ascii(one)[1:17] for one in TICKERS])
def test_a_list_takes_it_or_says_why_not(place, ticker):
    file = place.root.parent / "mine.txt"
    file.write_bytes(b"AAPL\n")
    lists = {"INGEST_TRACKED__LISTS": json.dumps([str(file)]), "INGEST_TRACKED__TICKERS": "[]"}
    with fenced(place.root, file, durable.temporary(file), around=place.root.parent):
        told = command(place, "track", "add", "--", ticker, **lists)
        if told.code == 0:
            assert file.read_bytes().decode() == f"AAPL\n{ticker}\n"
            assert csv_path(place, ticker).exists()
            listed = command(place, "track", "list", "--json", **lists)
            assert [json.loads(line)["ticker"] for line in listed.out.splitlines()] == sorted(["AAPL", ticker])
            assert command(place, "track", "list", **lists).code == 0
            assert command(place, "track", "remove", "--", ticker, **lists).code == 0
        else:
            assert (told.code, told.err.startswith("error: ")) == (2, True)
            assert len(told.err) < 400
            assert "\x1b" not in told.err
            assert file.read_bytes() == b"AAPL\n"


def test_a_link_in_the_place_of_a_csv_is_replaced_and_not_followed(place, tmp_path):
    outside = place.root.parent / "outside.txt"
    outside.write_text("mine")
    path = csv_path(place, "TPC")
    path.unlink()
    path.symlink_to(outside)
    with loopback.serve({key(day): pack(text) for day, text in TEXTS.items()}) as server:
        place.endpoint_url = server.endpoint_url
        place.run(*window(DAYS), tracked=NAMED)
    assert outside.read_text() == "mine"
    assert not path.is_symlink()
    assert len(path.read_text().splitlines()) == 4


ANY = st.text(min_size=1) | st.text('./\\~:*?"<>| \0\x1bCONcon%_ \u202e\ud800é😀', min_size=1, max_size=12)


def any_ticker(ticker, tmp_path):
    try:
        name = STOCKS_DAY.csv_name(ticker)
    except UsageError:
        assert any("\ud800" <= char <= "\udfff" for char in ticker)
        return
    if name is None:
        assert len(file_stem(ticker)) + len("_1d_data.csv") > MAX_NAME_BYTES
        return
    assert ticker_of(file_stem(ticker)) == ticker
    path = tmp_path / name
    assert Path(os.path.normpath(path)) == path
    assert path.parent == tmp_path
    assert not name.startswith((".", "~"))


@given(ANY)
def test_any_ticker_has_a_plain_name_or_none(ticker):
    any_ticker(ticker, Path("/cache"))


def test_warnings_that_name_tickers_are_printable(place):
    before = DAYS[0] - timedelta(days=30)
    with pytest.warns(IngestWarning, match="missing for") as said:
        history.history(place.settings(), STOCKS_DAY, HistoryQuery(TICKERS, before, DAYS[-1], fetch=False))
    assert all(line.isprintable() for one in said for line in str(one.message).split("\n"))


@given(st.text(max_size=300))
def test_any_ticker_asked_for_is_an_answer_or_an_error_of_ours(place, ticker):
    settings = place.settings()
    try:
        rows = history.history(settings, STOCKS_DAY, HistoryQuery([ticker], fetch=False))
    except IngestError:
        return
    except IngestWarning as caught:
        warning = str(caught)
    else:
        warning = ""
        assert rows["ticker"].unique().to_list() == [ticker]
    assert warning.isprintable()
    assert (not warning) is (ticker in TICKERS)


@pytest.mark.long
@pytest.mark.timeout(3600)
@given(ANY)
@hypothesis_settings(max_examples=LONG_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_ticker_and_many_more(ticker):
    any_ticker(ticker, Path("/cache"))


def test_none_that_is_not_held_is_shown(place):
    assert command(place, "export", "--out", place.root.parent / "none", "NOSUCH").code == NotFound.exit_code


@pytest.mark.parametrize("output", [[], ["--quiet"], ["--json"]])
def test_what_the_source_says_cannot_steer_a_terminal_or_fake_a_line(loopback_keys, tmp_path, output):
    evil = "\x1b]0;x\x07\x1b[2J\u202e"
    bad = "\n".join([HEADER, row("AAPL", f"{evil}9"), ""]).encode()
    odd = "\n".join([f"{HEADER},{evil}", row(f"A{evil}"), row(f"A{evil}"), ""]).encode()
    objects = {key(DAYS[0]): pack(bad), key(DAYS[1]): pack(odd), key(DAYS[2]): b""}

    def lies(request):
        return Status(500, "Odd\n\u202e") if request.key == key(DAYS[2]) else None

    error = answering.error
    with loopback.serve(objects, faults=lies) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(answering, "escape", lambda text: "".join(f"&#{ord(c)};" if ord(c) > 127 else c for c in text))
        patch.setattr(answering, "error", lambda status, code, headers=None: _saying(error(status, code, headers)))
        place = Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 1})
        told = command(place, "run", "--start", DAYS[0], "--end", DAYS[-1], "--no-fallback", *output)
        assert told.code == 3
        more = [command(place, one) for one in ("status", "check")]
    for text in (told.out, told.err, *(one.out + one.err for one in more)):
        assert not {"\x1b", "\x07", "\u202e", "\r", "\u2028"} & set(text), text
        assert "FAKED" not in [line.strip() for line in text.splitlines()]
    findings = place.query("SELECT kind, examples FROM findings WHERE session = ?", str(DAYS[1]))
    assert findings
    assert "\x1b" not in "".join(text for row in findings for text in row)


def _saying(answer):
    """An error whose message would be a line of its own, with marks that turn text around."""
    body = answer.body.replace(b"<Message>", b"<Message>so&#10;FAKED&#10;&#8238;&#8232;&#13;")
    return loopback.replace(answer, body=body)
