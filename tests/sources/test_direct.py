"""Whole objects are requested as botocore's own client would request them, and refused in the same words."""

import re
import socket
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web

from ingest.errors import Forbidden, NotFound, SourceRefused, Throttled
from ingest.settings import Settings
from ingest.sources.base import RemoteObject
from ingest.sources.massive.client import connect

KEYS = ["us_stocks_sip/day_aggs_v1/2025/11/2025-11-11.csv.gz", "odd/a b+c%2F~(é)&=?#:@!$'*,;.csv.gz"]
OWN = {"amz-sdk-invocation-id", "amz-sdk-request", "x-amz-date", "authorization"}
"""Headers that say when and how often a client asked, or that depend on those."""


@asynccontextmanager
async def answering(status=200, body=b"text", checksums="when_required", **headers):
    """A source, connected to a server that answers all requests alike, and the requests that have come."""
    came = []

    async def handle(incoming):
        came.append(incoming)
        return web.Response(status=status, body=body, headers={"ETag": '"e"', **headers})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        await web.SockSite(runner, listening).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = Settings.model_validate({"source": {"endpoint_url": url, "checksums": checksums}})
        try:
            async with connect(settings.source) as source:
                yield source, came
        finally:
            await runner.cleanup()


def without_own(request):
    signed = re.search(r"SignedHeaders=([^,]*)", request.headers["Authorization"])[1]
    headers = {name.lower(): value for name, value in request.headers.items()}
    return (
        request.method,
        request.raw_path,
        {name: value for name, value in headers.items() if name not in OWN},
        set(signed.split(";")) - OWN,
    )


@pytest.mark.parametrize("token", ["", "a session token"])
@pytest.mark.parametrize("key", KEYS)
def test_a_request_is_the_clients_own(key, token, loopback_keys):
    if token:
        loopback_keys.write_text(f"{loopback_keys.read_text().rstrip()}\naws_session_token = {token}\n")

    async def both():
        async with answering() as (source, came):
            item = RemoteObject(key, 4, "e", "")
            assert (await source.fetch(item)).data == b"text"
            answer = await source._client.get_object(Bucket=source._bucket, Key=key)
            assert await answer["Body"].read() == b"text"
            return came

    ours, theirs = anyio.run(both)
    assert without_own(ours) == without_own(theirs)
    assert ("X-Amz-Security-Token" in ours.headers) == bool(token)


def test_the_client_itself_checks_checksums(loopback_keys):
    async def ask():
        async with answering(checksums="when_supported") as (source, came):
            await source.fetch(RemoteObject(KEYS[0], 4, "e", ""))
            return came

    (request,) = anyio.run(ask)
    assert request.headers["x-amz-checksum-mode"] == "ENABLED"


def error(code):
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "body", "raised", "said"),
    [
        (403, error("AccessDenied"), Forbidden, "AccessDenied"),
        (404, error("NoSuchKey"), NotFound, "NoSuchKey"),
        (503, error("SlowDown"), Throttled, "SlowDown"),
        (403, error("SignatureDoesNotMatch"), SourceRefused, "the secret key does not belong"),
        (403, b"<html>no entry</html>", SourceRefused, "not by S3"),
        (301, error("PermanentRedirect"), SourceRefused, "redirects"),
    ],
)
def test_a_refusal_takes_one_request(status, body, raised, said, loopback_keys):
    async def ask():
        async with answering(status, body, **{"Retry-After": "7"}) as (source, came):
            with pytest.raises(raised, match=said) as refusal:
                await source.fetch(RemoteObject(KEYS[0], 4, "e", ""))
            return refusal.value, came, source.requests

    refusal, came, requests = anyio.run(ask)
    assert (len(came), requests) == (1, 1)
    assert getattr(refusal, "retry_after_s", 7) == 7
