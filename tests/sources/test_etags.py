"""One normal form of ETags: what a proxy makes of them on one way costs no night a download, and hides no change."""

import hashlib
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_kit import Place, flat, key, sampled, trading_days, window
from tuning_kit import tune

from ingest.demo.files.market import pack
from ingest.demo.servers.faults import Headers
from ingest.sources.base import RemoteObject, etag_of, is_as_listed, same_etag

DAYS = trading_days(date(2025, 3, 3), 3)
MD5 = "0123456789abcdef0123456789abcdef"

FORMS = {
    "as it is": '"{}"',
    "weak": 'W/"{}"',
    "weak in small letters": 'w/"{}"',
    "bare": "{}",
    "weak and bare": "W/{}",
    "packed": '"{}-gzip"',
    "packed, outside": '"{}"-gzip',
    "packed and weak": 'W/"{}--gzip"',
    "packed another way": '"{};br"',
    "blanks": ' "{}" ',
}


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("etag", [MD5, f"{MD5}-12"])
def test_forms_of_one(form, etag, upper):
    assert etag_of(form.format(etag.upper() if upper else etag)) == etag


@pytest.mark.parametrize(
    ("header", "etag"),
    [
        (None, ""),
        ("", ""),
        ('""', ""),
        ('"', ""),
        ('"W/x"', "W/x"),
        ('"AbC="', "AbC="),
        ('"-gzip"', "-gzip"),
        ('"a-1"', "a-1"),
        ('"zip"', "zip"),
    ],
)
def test_what_is_no_md5_stays_apart(header, etag):
    assert etag_of(header) == etag


@given(st.text(max_size=50))
def test_what_was_kept_is_what_is_listed(text):
    assert same_etag(text, etag_of(text))


def test_what_is_as_it_was_listed():
    listed = RemoteObject("k", 5, MD5, "2025-03-03T16:00:00.000Z")
    same = RemoteObject("k", 5, "other", "2025-03-04T00:00:00.000Z")
    assert is_as_listed(listed, same, MD5)
    assert not is_as_listed(listed, same, "f" * 32)
    assert not is_as_listed(listed, RemoteObject("k", 6, MD5, listed.last_modified), MD5)
    assert is_as_listed(listed, RemoteObject("k", 5, "other", "2025-03-03T16:00:00Z"), "")
    assert not is_as_listed(RemoteObject("k", 5, "x", ""), RemoteObject("k", 5, "y", ""), "")


@pytest.fixture
def place(server, tmp_path, loopback_keys, short_backoff):
    return Place(tmp_path / "cache", server.endpoint_url)


@pytest.fixture(params=[False, True], ids=["small", "large"])
def large(request, monkeypatch):
    """Whether objects come whole, or in ranges into a file."""
    if request.param:
        tune(monkeypatch, large=1000, range_bytes=3000)
    return request.param


def rewritten(server, form, upper):
    """Answers about objects have their ETags in another form."""

    def script(request):
        if not request.key:
            return None
        etag = server._etag(request.key, server.objects[request.key]).strip('"')
        return Headers((("ETag", form.format(etag.upper() if upper else etag) if form else None),))

    return script


def etags(place):
    return {row[0] for row in place.query("SELECT etag FROM sessions")}


def md5s(server):
    return {hashlib.md5(body, usedforsecurity=False).hexdigest() for body in server.objects.values()}


@pytest.mark.parametrize("upper", [False, True], ids=["small letters", "capitals"])
@pytest.mark.parametrize("form", sampled(['W/"{}"', '"{}-gzip"', '"opaque-{}"'], 2))
def test_another_form_on_the_way_of_objects_costs_nothing(place, server, large, form, upper):
    server.faults = rewritten(server, form, upper)
    assert place.run(*window(DAYS)).committed == DAYS
    assert (etags(place), place.run(*window(DAYS)).gets) == (md5s(server), [])
    assert not place.root.joinpath("spool").exists() or not any(place.root.joinpath("spool").rglob("*.part"))
    server.put(key(DAYS[1]), pack(flat([("AAPL", "1.5"), ("MSFT", "2.5")] * 150)), datetime(2026, 1, 1, tzinfo=UTC))
    again = place.run(*window(DAYS), accept=True)
    assert (again.committed, etags(place)) == ([DAYS[1]], md5s(server))


def test_an_etag_that_is_taken_away_is_not_needed_where_the_md5_is_known(place, server):
    server.faults = rewritten(server, None, upper=False)
    assert place.run(*window(DAYS)).committed == DAYS
    assert (etags(place), place.run(*window(DAYS)).gets) == (md5s(server), [])


@pytest.mark.parametrize("listed", ['W/"{}"', '"{}-gzip"'])
def test_another_form_in_the_listing_costs_nothing(place, server, large, listed):
    for name, body in server.objects.items():
        server._etags[name] = (body, listed.format(server._etag(name, body).strip('"').upper()))
    assert place.run(*window(DAYS)).committed == DAYS
    assert (etags(place), place.run(*window(DAYS)).gets) == (md5s(server), [])


def test_an_etag_of_several_parts_in_the_listing_alone(place, server, large):
    """There is no md5 to compare: size and time say that it is the same object."""
    for name, body in server.objects.items():
        server._etags[name] = (body, '"0123456789abcdef0123456789abcdef-2"')
    server.faults = lambda request: Headers((("ETag", '"of-the-gateway"'),)) if request.key else None
    assert place.run(*window(DAYS)).committed == DAYS
    assert (etags(place), place.run(*window(DAYS)).gets) == ({"0123456789abcdef0123456789abcdef-2"}, [])


def test_what_is_held_under_another_form_is_held(place, server):
    """As versions before this one have kept it."""
    place.run(*window(DAYS))
    place.execute("UPDATE sessions SET etag = 'W/\"' || upper(etag) || '-gzip'")
    again = place.run(*window(DAYS))
    assert (again.gets, again.reasons) == ([], {"skip: committed": 3})
    assert "replaced" not in place.here("list", "--start", DAYS[0], "--end", DAYS[-1]).out


def test_a_flipped_byte_is_seen_by_the_md5_of_the_listing(place, server):
    """Whatever ETag comes with it."""
    body = bytearray(server.objects[key(DAYS[0])])
    body[-20] ^= 1
    flipped = bytes(body)
    server._etags[key(DAYS[0])] = (flipped, server._etag(key(DAYS[0]), server.objects[key(DAYS[0])]))
    server.objects[key(DAYS[0])] = flipped
    server.faults = lambda request: Headers((("ETag", '"of-the-gateway"'),)) if request.key else None
    ran = place.run(*window(DAYS))
    assert (ran.committed, ran.finished.quarantined) == (DAYS[1:], 1)
