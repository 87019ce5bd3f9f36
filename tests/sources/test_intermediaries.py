"""What answers in S3's place is named, and says nothing about the plan; what packs S3's answers is seen through."""

import gzip
from datetime import date

import anyio
import pytest
from pipeline_kit import Place, key, sampled_by_name, trading_days, window

from ingest.demo.servers import faults
from ingest.demo.servers.faults import Foreign, Status
from ingest.errors import Disrupted, Forbidden, NotFound, SourceRefused
from ingest.sources.base import RemoteObject
from ingest.sources.massive.client import connect
from ingest.sources.massive.intermediaries import excerpt

DAYS = trading_days(date(2025, 3, 3), 12)
PAGE = (
    b"<!DOCTYPE html><html><head><style>p {color: red}</style><title>Blocked\n by policy\x1b[31m</title></head></html>"
)
SERVER = (("Server", "wall/7"), ("Content-Type", "text/html; charset=utf-8"))
DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


pytestmark = pytest.mark.usefixtures("loopback_keys", "short_backoff")


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url, source={"attempts": 2})


def to_objects(fault, method="GET"):
    """Objects meet the fault, listings don't."""
    return lambda request: fault if request.key and request.method == method else None


FOREIGN = {
    "a firewall's page": (
        Foreign(403, PAGE, SERVER),
        '403, and not by S3 (server wall/7, text/html, "Blocked by policy',
    ),
    "JSON": (
        Foreign(403, b'{"Code": "AccessDenied"}', (("Content-Type", "application/json"),)),
        'application/json, "{"Code": "AccessDenied"}"',
    ),
    "nothing": (Foreign(403), "empty): a firewall or a proxy is in between"),
    "XML of another": (Foreign(403, b"<Answer><Code>AccessDenied</Code></Answer>"), "<Answer><Code>AccessDenied"),
    "a page within XML": (Foreign(403, b"<html><Error><Code>AccessDenied</Code></Error></html>"), "not by S3"),
    "a code that is empty": (Foreign(403, b"<Error><Code/></Error>"), "not by S3"),
    "noise": (Foreign(403, b"\xff\xfe\x00\x1b[2J" * 99), "not by S3"),
    "a proxy's wish for keys": (
        Foreign(407, b"who are you?", SERVER),
        '407, and not by S3 (server wall/7, text/html, "who are you?")',
    ),
    "a web server without it": (Foreign(404, b"<html><title>Not here</title></html>", SERVER), "404, and not by S3"),
    "a sign-in": (Foreign(401, PAGE, SERVER), "401, and not by S3"),
    "a law": (Foreign(451, PAGE, SERVER), "451, and not by S3"),
}


@pytest.mark.parametrize("count", [3, 12], ids=["asked as they are", "searched"])
@pytest.mark.parametrize(("fault", "words"), sampled_by_name(FOREIGN))
def test_what_refuses_and_is_not_s3_is_named_and_no_word_about_the_plan(place, server, fault, words, count):
    server.faults = to_objects(fault)
    ran = place.run(*window(DAYS[:count]), fails=SourceRefused)
    assert words in str(ran.error)
    assert "endpoint_url" in str(ran.error)
    assert str(ran.error).isprintable()
    assert len(str(ran.error)) < 600
    assert (ran.finished.forbidden, ran.finished.absent, ran.finished.exit_code) == (0, 0, 4)
    server.faults = None
    assert place.run(*window(DAYS[:count])).committed == DAYS[:count]


@pytest.mark.parametrize("body", [DENIED, DENIED.replace(b"<Error>", b'<Error xmlns="http://s3.amazonaws.com/doc/">')])
def test_what_s3_itself_denies_is_the_plan(place, server, body):
    server.faults = faults.strike({key(DAYS[1])}, Foreign(403, body), times=99)
    ran = place.run(*window(DAYS[:3]))
    assert (ran.committed, ran.finished.forbidden, ran.finished.exit_code) == ([DAYS[0], DAYS[2]], 1, 0)


@pytest.mark.parametrize("code", ["AccountProblem", "InvalidObjectState", "AllAccessDisabled", "RequestExpired"])
def test_another_code_of_s3_is_no_word_about_the_plan(place, server, code):
    server.faults = to_objects(Status(403, code))
    ran = place.run(*window(DAYS[:3]), fails=SourceRefused)
    assert (code in str(ran.error), ran.finished.forbidden) == (True, 0)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_what_will_pass_is_tried_again_whoever_says_it(place, server, status):
    server.faults = faults.strike(set(server.objects), Foreign(status, PAGE, (*SERVER, ("Retry-After", "0"))), times=1)
    assert place.run(*window(DAYS[:3])).committed == DAYS[:3]


def look_up(place, item):
    async def work():
        async with connect(place.settings().source) as source:
            return await source.look_up(item)

    return anyio.run(work)


@pytest.mark.parametrize(
    ("status", "on_get", "kind"),
    [
        (403, Foreign(403, DENIED), Forbidden),
        (403, Foreign(403, PAGE, SERVER), SourceRefused),
        (403, None, Disrupted),
        (404, Foreign(404, b"<Error><Code>NoSuchKey</Code></Error>"), NotFound),
        (404, Foreign(404, PAGE, SERVER), SourceRefused),
        (404, None, Disrupted),
    ],
)
def test_a_refusal_without_a_body_is_asked_about(place, server, status, on_get, kind):
    """HEAD's answers have none: whose they are, and so what they mean, a GET of a byte says."""
    server.faults = lambda request: Foreign(status) if request.method == "HEAD" else on_get
    with pytest.raises(kind):
        look_up(place, RemoteObject(key(DAYS[0]), 1, "x", ""))
    assert [(request.method, request.conditions.get("range")) for request in server.requests] == [
        ("HEAD", None),
        ("GET", "bytes=0-0"),
    ]


def test_errors_are_unpacked_before_they_are_judged(place, server):
    packed = (("Content-Encoding", "gzip"), ("Content-Type", "application/xml"))
    server.faults = faults.strike({key(DAYS[1])}, Foreign(403, gzip.compress(DENIED), packed), times=99)
    assert place.run(*window(DAYS[:3])).finished.forbidden == 1


def test_a_key_that_a_page_repeats_is_not_told_not_even_in_part(place, server, loopback_keys):
    secret = "x" * 30 + "/of+nobody"
    loopback_keys.write_text(f"[massive]\naws_access_key_id = KEY-OF-NOBODY\naws_secret_access_key = {secret}\n")
    forms = (secret, secret.replace("/", "%2F").replace("+", "%2B"), secret.replace("+", "&#43;"))
    for form in forms:
        for at in range(96, 128, 7):
            server.faults = to_objects(Foreign(403, b"<title>" + b"a" * at + f" {form} b</title>".encode()))
            ran = place.run(*window(DAYS[:1]), fails=SourceRefused)
            assert "x" * 8 not in str(ran.error)


def test_an_excerpt_ends_between_words():
    assert excerpt("one two three", 9) == "one two …"
    assert excerpt("one two three", 13) == "one two three"
    assert excerpt("a\n\x1b\u202eb") == "a \\x1b\\u202eb"
    assert excerpt("x" * 99, 20) == "…"
