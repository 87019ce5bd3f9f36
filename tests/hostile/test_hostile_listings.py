"""Listings that are wrong, absurd or endless, sizes and ETags that lie: an error that says so, or no harm at all."""

import asyncio
import re
from datetime import date
from unittest.mock import patch
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from fence import fenced
from hostile_kit import LONG_EXAMPLES, command, row
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pipeline_kit import HEADER, Place, key, sampled
from tuning_kit import tune

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import Disrupted, SourceRefused
from ingest.market.catalogue import STOCKS_DAY

DAY = date(2025, 3, 3)
TEXT = "\n".join([HEADER, row("AAPL"), row("MSFT"), ""]).encode()
PREFIX = STOCKS_DAY.prefix
QUICKLY = {"attempts": 2, "down_after_s": 20}


@pytest.fixture
def place(loopback_keys, tmp_path):
    with loopback.serve({key(DAY): pack(TEXT)}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, source=QUICKLY)
        place.server = server
        yield place


def pages(change):
    """The server's pages, changed as text."""
    page = loopback.Server._page
    return patch.object(loopback.Server, "_page", lambda *arguments: change(page(*arguments)))


def element(name, text):
    return lambda page: re.sub(rf"<{name}>.*?</{name}>", lambda _: f"<{name}>{escape(text)}</{name}>", page)


ABSURD = [
    f"{PREFIX}/2025/../../../../etc/2025-03-04.csv.gz",
    f"{PREFIX}/2025/03/../2025-03-04.csv.gz",
    "../../2025/03/2025-03-04.csv.gz",
    "/etc/passwd",
    "",
    " ",
    PREFIX,
    f"{PREFIX}/2025/03/",
    f"{PREFIX}/2025/03/2025-03-04.csv.gz/",
    f"{PREFIX}/2025/03/2025-03-04.csv.gz.gz",
    f"{PREFIX}/2025/03/2025-03-04.csv",
    f"{PREFIX}/2025/03/2025-03-04.csv.gz\n",
    f"{PREFIX}/2025/03/\u0662\u0660\u0662\u0665-03-04.csv.gz",
    f"{PREFIX}/2025/03/2025%2D03%2D04.csv.gz",
    f"{PREFIX}/2025%2F03/2025-03-04.csv.gz",
    f"{PREFIX}//2025/03/2025-03-04.csv.gz",
    f"{PREFIX}/2025/04/2025-03-04.csv.gz",
    f"{PREFIX}/2025/02/2025-02-30.csv.gz",
    f"{PREFIX}/2025/13/2025-13-01.csv.gz",
    f"{PREFIX}/0000/00/0000-00-00.csv.gz",
    f"{PREFIX}/2025/03/2025-03-04.CSV.GZ",
    "us_stocks_sip/minute_aggs_v1/2025/03/2025-03-04.csv.gz",
    "us_options_opra/day_aggs_v1/2025/03/2025-03-04.csv.gz",
    f"{PREFIX}/2025/03/2025-03-04.csv.gz\u202e",
    "x" * 5000,
]


def test_absurd_keys_are_no_sessions(place, tmp_path):
    entries = "".join(
        f"<Contents><Key>{quote(one)}</Key><LastModified>2025-03-05T00:00:00.000Z</LastModified>"
        f'<ETag>"0"</ETag><Size>5</Size></Contents>'
        for one in ABSURD
    )
    place.root.mkdir()
    with pages(lambda page: page.replace("<Contents>", f"{entries}<Contents>", 1)), fenced(place.root, around=tmp_path):
        ran = place.run(date(2025, 3, 1), date(2025, 3, 7))
    assert (ran.gets, ran.finished.exit_code, ran.committed) == ([DAY], 0, [DAY])
    assert place.state(date(2025, 3, 4)) is None or place.state(date(2025, 3, 4))[0] == "none"


@given(
    st.text() | st.builds("{}{}{}".format, st.sampled_from(["", PREFIX, f"{PREFIX}/2025/03/"]), st.text(), st.text())
)
def test_a_key_is_a_sessions_only_if_it_is_the_key_of_that_session(text):
    session = STOCKS_DAY.session_of(text)
    assert session is None or STOCKS_DAY.key(session) == text


@pytest.mark.parametrize("day", [date(9999, 12, 31), date(1, 1, 1), date(2025, 3, 1)])
def test_far_away_and_idle_days_are_not_fetched(place, day):
    place.server.objects[key(day)] = pack(TEXT)
    assert place.run(DAY, date(2025, 3, 7)).gets == [DAY]


def test_a_key_that_is_listed_twice_is_fetched_once(place):
    with pages(lambda page: re.sub(r"(<Contents>.*</Contents>)", r"\1\1\1", page)):
        ran = place.run(DAY, DAY)
    assert (ran.gets, ran.committed) == ([DAY], [DAY])


@pytest.mark.parametrize("size", ["-5", "abc", "", "1.5", "0x10", "1" * 5000])
def test_a_size_that_is_none_is_no_listing(place, size):
    with pages(element("Size", size)):
        ran = place.run(DAY, DAY, fails=Disrupted)
    assert re.search("the answer (is not a listing|cannot be understood)", str(ran.error))
    assert len(str(ran.error)) < 300


@pytest.mark.parametrize("size", ["0", "10", "999"])
def test_a_size_that_lies_fails_that_session_alone(place, size):
    with pages(element("Size", size)):
        ran = place.run(DAY, DAY)
    assert (ran.finished.failed, ran.finished.exit_code) == (1, 3)
    assert place.run(DAY, DAY).committed == [DAY]


@pytest.mark.parametrize("size", [10**15, 10**30])
def test_a_gigantic_size_is_asked_about_and_kept_to_by_max_bytes(place, size):
    with pages(element("Size", str(size))):
        told = command(place, "run", "--start", DAY, "--end", DAY)
        assert (told.code, "which is not enough" in told.err) == (2, True)
        assert place.run(DAY, DAY, max_bytes=10**9).gets == []
        assert command(place, "run", "--dry-run", "--start", DAY, "--end", DAY).code == 0
        ran = place.run(DAY, DAY)  # confirmed
    assert (ran.finished.failed, ran.finished.exit_code) == (1, 3)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_goes_on_and_on_is_not_read_to_its_end(place, chunked):
    sent = []

    async def endless(incoming, answer, *more):
        if incoming.path.endswith(".gz"):
            return await _endless(incoming, answer, sent, None if chunked else 1 << 40)
        return await ordinary(incoming, answer, *more)

    ordinary = loopback.send
    with patch.object(loopback, "send", endless):
        ran = place.run(DAY, DAY)
    assert (ran.finished.failed, ran.finished.exit_code) == (1, 3)
    assert "bytes arrived" in place.query("SELECT reason FROM sessions")[0][0]
    assert sum(sent) < 64 << 20


async def _endless(incoming, answer, sent, length):
    """The body over and over, with another ETag, so that its length is not known from the listing."""
    response = loopback.web.StreamResponse(headers={**answer.headers, "ETag": '"another"'})
    if length:
        response.content_length = length
    else:
        response.enable_chunked_encoding()
    await response.prepare(incoming)
    try:
        while len(sent) < 4096:
            await response.write(bytes(1 << 16))
            sent.append(1 << 16)
            await asyncio.sleep(0)
    except (ConnectionError, OSError):
        pass
    return response


@pytest.mark.parametrize("headers", [{"Last-Modified": "yesterday"}, {"Last-Modified": None}, {"ETag": '"other"'}])
def test_headers_that_are_odd_or_missing(place, headers):
    answer = loopback.Server._object

    def odd(*arguments):
        found = answer(*arguments)
        kept = {**found.headers, "ETag": '"other"', **headers}
        return loopback.replace(found, headers={name: value for name, value in kept.items() if value is not None})

    with patch.object(loopback.Server, "_object", odd):
        assert place.run(DAY, DAY).committed == [DAY]
    assert place.reassembled(DAY) == TEXT


@pytest.mark.parametrize(
    "etag", ["", '""', '"', "../../x", "é😀", "a\nb", "' OR 1=1 --", 'W/"x"', "0" * 32, "x" * 100_000]
)
def test_any_etag_is_kept_as_it_is(place, tmp_path, etag):
    place.root.mkdir()
    with pages(element("ETag", etag)), fenced(place.root, around=tmp_path):
        ran = place.run(DAY, DAY)
    assert (ran.committed, ran.finished.exit_code) == ([DAY], 0)
    assert place.reassembled(DAY) == TEXT


@pytest.mark.parametrize("modified", sampled(["", "yesterday", "9999999-01-01", "\u202e"], 2))
def test_any_time_of_change(place, modified):
    with pages(element("LastModified", modified)):
        assert place.run(DAY, DAY).committed == [DAY]
    assert place.here("list", "--start", DAY, "--end", DAY).code == 0


LAST = "<IsTruncated>false</IsTruncated>"


def following(token):
    return f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"


@pytest.mark.parametrize(
    "change",
    [
        lambda page: page.replace(LAST, "<IsTruncated>true</IsTruncated>"),
        lambda page: page.replace(LAST, following("")),
        lambda page: re.sub("<Key>.*?</Key>", "", page),
        lambda page: re.sub("<Size>.*?</Size>", "", page),
        lambda page: re.sub("<ETag>.*?</ETag>", "", page),
        lambda page: page[: len(page) // 2],
        lambda page: page.replace("<Name>", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><Name>&x;'),
        lambda page: "\0" * 100,
    ],
    ids=["no token", "empty token", "no key", "no size", "no etag", "cut short", "an entity of the system's", "NULs"],
)
def test_what_is_no_listing_is_said(place, change):
    with pages(change):
        ran = place.run(DAY, DAY, fails=Disrupted)
    assert str(ran.error).startswith(f"listing {PREFIX}/2025/: ")
    assert len(str(ran.error)) < 400


def test_a_page_that_leads_to_itself_again_and_again_ends_the_run(place):
    with pages(lambda page: page.replace(LAST, following("eHh4"))):
        ran = place.run(DAY, DAY, fails=Disrupted)
    assert "a page came twice" in str(ran.error)
    assert ran.error.exit_code == 4
    assert len(ran.wire.sent) == 2 * QUICKLY["attempts"]


def test_a_listing_that_never_ends_is_given_up(place, monkeypatch):
    tokens = iter(range(10**9))
    encoded = loopback._token
    tune(monkeypatch, most_pages=12)
    with pages(lambda page: page.replace(LAST, following(encoded(f"0{next(tokens)}")))):
        ran = place.run(DAY, DAY, fails=SourceRefused)
    assert "does not end within 12 pages" in str(ran.error)
    assert len(ran.wire.sent) == 12


def test_a_hundred_thousand_keys_are_read(place):
    entry = "<Contents><Key>{}</Key><LastModified>2025</LastModified><ETag>0</ETag><Size>5</Size></Contents>"
    many = "".join(entry.format(f"{PREFIX}/2025/03/{n}.csv.gz") for n in range(1000))
    numbers = iter(range(1, 101))

    def change(page):
        number = next(numbers)
        end = LAST if number == 100 else following(loopback._token(f"0{number}"))
        return page.replace("<Contents>", f"{many}<Contents>", 1).replace(LAST, end)

    with pages(change):
        ran = place.run(DAY, DAY)
    assert (ran.committed, len(ran.wire.listings)) == ([DAY], 100)


@pytest.mark.long
@pytest.mark.timeout(3600)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 12), st.binary(max_size=6)), min_size=1, max_size=3))
@hypothesis_settings(max_examples=max(1, LONG_EXAMPLES // 50), deadline=None, suppress_health_check=list(HealthCheck))
def test_any_page(place, changes):
    """A page of a listing with anything in it ends in an error of ours, or in a plan."""

    def change(page):
        changed = bytearray(page.encode())
        for at, size, new in changes:
            changed[at : at + size] = new
        return changed.decode("utf-8", "replace")

    with pages(change), pytest.MonkeyPatch.context() as patched:
        tune(patched, most_pages=5)
        try:
            assert place.preview(DAY, DAY, attempts=1)
        except (Disrupted, SourceRefused) as error:
            assert len(str(error)) < 1000  # noqa: PT017 - both outcomes are right
