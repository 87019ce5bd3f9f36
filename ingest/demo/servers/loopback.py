"""A small S3-compatible server on loopback, in a thread of this process: for tests, and for demos without SeaweedFS.

Path-style; GET and HEAD of objects (ranges, If-Match, If-Range) and ListObjectsV2 (prefix, pages; no delimiters). It
does NOT check signatures; it can check the access key's name. Objects are a dictionary that may change while it runs. A
script of `faults` makes it fail in ways a healthy server does not.
"""

import asyncio
import base64
import hashlib
import re
import socket
import ssl
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from aiohttp import web

from ingest.demo.servers.faults import (
    Capped,
    Fault,
    FlipByte,
    Foreign,
    Headers,
    Heedless,
    Latency,
    LongBody,
    Request,
    ResetBefore,
    ResetMidway,
    Script,
    Shifted,
    ShortBody,
    ShortLength,
    Silence,
    Status,
    Trickle,
    XmlError200,
)

_HOST: Final = "127.0.0.1"
_MAX_KEYS = 1000
_BLOCK = 1 << 16
_CONDITIONS = ("range", "if-range", "if-match")
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Server:
    """A running server, made by `serve`. `objects` and `forbidden` may be changed at any time."""

    def __init__(
        self,
        objects: MutableMapping[str, bytes],
        bucket: str,
        forbidden: set[str],
        faults: Script | None,
        access_keys: Collection[str] | None,
        page_size: int,
        clock_ahead_s: float,
        bytes_per_s: float | None,
    ) -> None:
        self.endpoint_url = ""
        self.bucket = bucket
        self.objects = objects
        self.forbidden = forbidden
        self.faults = faults
        self.most_at_once = 0
        self.sent: Counter[str] = Counter()
        """Bytes of bodies sent, by key; listings are counted under the empty key."""
        self._at_once = 0
        self._access_keys = access_keys
        self._page_size = page_size
        self._ahead = timedelta(seconds=clock_ahead_s)
        self._line = _Line(bytes_per_s)
        self._log: list[Request] = []
        self._counts: Counter[str] = Counter()
        self._etags: dict[str, tuple[bytes, str]] = {}
        self._since = datetime.now(UTC).replace(microsecond=0)
        self._modified: dict[str, datetime] = {}

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests so far in order of arrival, including those that got a fault."""
        return tuple(self._log)

    def put(self, key: str, body: bytes, modified: datetime | None = None, etag: str | None = None) -> None:
        """Store an object, last modified now unless given, with an ETag that need not be its md5."""
        if etag is not None:
            self._etags[key] = (body, f'"{etag}"')
        self._modified[key] = (modified or datetime.now(UTC)).replace(microsecond=0)
        self.objects[key] = body

    async def handle(self, incoming: web.Request) -> web.StreamResponse:
        """Answer one request, with the fault that the script chooses."""
        bucket, _, key = incoming.path.lstrip("/").partition("/")
        self._counts[key] += 1
        asked = {name: incoming.headers[name] for name in _CONDITIONS if name in incoming.headers}
        request = Request(incoming.method, key, dict(incoming.query), self._counts[key], asked)
        self._log.append(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            fault = self.faults(request) if self.faults else None
            answer = self._refusal(bucket, incoming) or self._answer(_heeded(request, fault))
            note = partial(self._note_sent, key)
            return await _send(incoming, self._dated(_spoilt(answer, fault)), fault, self._line, note)
        finally:
            self._at_once -= 1

    def _note_sent(self, key: str, count: int) -> None:
        self.sent[key] += count

    def _dated(self, answer: _Answer) -> _Answer:
        now = format_datetime(datetime.now(UTC) + self._ahead, usegmt=True)
        return replace(answer, headers={"Date": now, **answer.headers})

    def _refusal(self, bucket: str, incoming: web.Request) -> _Answer | None:
        who = re.search(r"Credential=([^/,]*)", incoming.headers.get("Authorization", ""))
        if self._access_keys is not None and (who is None or who[1] not in self._access_keys):
            return _error(403, "InvalidAccessKeyId")
        if bucket != self.bucket:
            return _error(404, "NoSuchBucket")
        return None

    def _answer(self, request: Request) -> _Answer:
        if request.method not in ("GET", "HEAD"):
            return _error(405, "MethodNotAllowed")
        if not request.key:
            return self._listing(request.query)
        if request.key in self.forbidden:
            return _error(403, "AccessDenied")
        body = self.objects.get(request.key)
        if body is None:
            return _error(404, "NoSuchKey")
        return self._object(request.key, body, request.conditions)

    def _object(self, key: str, body: bytes, asked: Mapping[str, str]) -> _Answer:
        etag = self._etag(key, body)
        headers = {
            "ETag": etag,
            "Last-Modified": format_datetime(self._changed(key), usegmt=True),
            "Accept-Ranges": "bytes",
            "Content-Type": "application/gzip",
        }
        if asked.get("if-match", etag).strip('"') != etag.strip('"'):
            return _error(412, "PreconditionFailed")
        return _ranged(body, headers, asked.get("range") if asked.get("if-range", etag) == etag else None)

    def _listing(self, query: Mapping[str, str]) -> _Answer:
        if query.get("list-type") != "2" or query.get("delimiter"):
            return _error(501, "NotImplemented")
        limit = min(int(query.get("max-keys", _MAX_KEYS)), self._page_size)
        token = query.get("continuation-token")
        after = base64.urlsafe_b64decode(token).decode() if token else query.get("start-after", "")
        prefix = query.get("prefix", "")
        objects = [
            (key, body) for key, body in sorted(dict(self.objects).items()) if key.startswith(prefix) and key > after
        ]
        page = objects[:limit]
        following = page[-1][0] if page and len(objects) > limit else None
        return _Answer(200, self._page(query, page, following).encode(), {"Content-Type": "application/xml"})

    def _page(self, query: Mapping[str, str], page: list[tuple[str, bytes]], following: str | None) -> str:
        as_url = query.get("encoding-type") == "url"
        parts = [
            _element("Name", self.bucket),
            _element("Prefix", _encoded(query.get("prefix", ""), as_url)),
            _element("KeyCount", str(len(page))),
            _element("MaxKeys", query.get("max-keys", str(_MAX_KEYS))),
            _element("IsTruncated", "true" if following else "false"),
            *([_element("EncodingType", "url")] if as_url else []),
            *([_element("NextContinuationToken", _token(following))] if following else []),
            *(self._entry(key, body, as_url) for key, body in page),
        ]
        return f'{_XML}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{"".join(parts)}</ListBucketResult>'

    def _entry(self, key: str, body: bytes, as_url: bool) -> str:
        parts = [
            _element("Key", _encoded(key, as_url)),
            _element("LastModified", self._changed(key).strftime("%Y-%m-%dT%H:%M:%S.000Z")),
            _element("ETag", self._etag(key, body)),
            _element("Size", str(len(body))),
            _element("StorageClass", "STANDARD"),
        ]
        return f"<Contents>{''.join(parts)}</Contents>"

    def _changed(self, key: str) -> datetime:
        return self._modified.get(key, self._since)

    def _etag(self, key: str, body: bytes) -> str:
        """The quoted md5, computed once per body, since each listing needs all of them."""
        known = self._etags.get(key)
        if known is None or known[0] is not body:
            digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
            known = self._etags[key] = (body, f'"{digest}"')
        return known[1]


@contextmanager
def serve(
    objects: MutableMapping[str, bytes] | None = None,
    *,
    bucket: str = "flatfiles",
    forbidden: set[str] | None = None,
    faults: Script | None = None,
    access_keys: Collection[str] | None = None,
    page_size: int = _MAX_KEYS,
    clock_ahead_s: float = 0,
    tls: ssl.SSLContext | None = None,
    bytes_per_s: float | None = None,
) -> Iterator[Server]:
    """Serve objects on a free port of loopback until the block is left; pages of listings hold up to `page_size` keys.

    Keys in `forbidden` are listed, and answer 403 to GET and HEAD. With `access_keys`, other access keys are refused.
    The server's clock is `clock_ahead_s` seconds ahead of this computer's. With `tls` it speaks https. With
    `bytes_per_s` all bodies together come over a line of that speed.
    """
    objects = {} if objects is None else objects
    forbidden = set() if forbidden is None else forbidden
    server = Server(objects, bucket, forbidden, faults, access_keys, page_size, clock_ahead_s, bytes_per_s)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_run(server, started, tls)), name="loopback", daemon=True)
    thread.start()
    loop, stop = started.result()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _run(
    server: Server, started: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]", tls: ssl.SSLContext | None
) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    try:
        await runner.setup()
        await web.TCPSite(runner, _HOST, 0, ssl_context=tls).start()
    except BaseException as error:
        started.set_exception(error)
        raise
    server.endpoint_url = f"{'https' if tls else 'http'}://{_HOST}:{runner.addresses[0][1]}"
    stop = asyncio.Event()
    started.set_result((asyncio.get_running_loop(), stop))
    await stop.wait()
    await runner.cleanup()


def _spoilt(answer: _Answer, fault: Fault | None) -> _Answer:
    """The answer as a fault changes or replaces it."""
    match fault:
        case Status(code, s3_code, headers):
            return _error(code, s3_code, dict(headers))
        case Foreign(status, page, headers):
            return _Answer(status, page, dict(headers))
        case XmlError200(s3_code):
            return replace(_error(500, s3_code), status=200)
        case Headers(changed):
            kept = {**answer.headers, **dict(changed)}
            return replace(answer, headers={name: text for name, text in kept.items() if text is not None})
        case _:
            return _bent(answer, fault)


def _bent(answer: _Answer, fault: Fault | None) -> _Answer:
    """The answer with wrong bytes."""
    match fault:
        case FlipByte(at) if answer.body:
            body = bytearray(answer.body)
            body[at if -len(body) <= at < len(body) else -1] ^= 0xFF
            return replace(answer, body=bytes(body))
        case ShortLength(by):
            return replace(answer, body=answer.body[: max(len(answer.body) - by, 0)])
        case LongBody(by):
            return replace(answer, body=answer.body + bytes(by))
        case Shifted(by) if "Content-Range" in answer.headers:
            return _moved(answer, later=by)
        case Capped(most) if "Content-Range" in answer.headers:
            return _moved(replace(answer, body=answer.body[:most]))
        case _:
            return answer


class _Line:
    """The line that all bodies share: pieces take turns, each for the time that the line's speed takes."""

    def __init__(self, bytes_per_s: float | None) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self.piece = _BLOCK if bytes_per_s is None else 256

    async def carry(self, count: int) -> None:
        """Wait until `count` bytes have passed."""
        if self._bytes_per_s is not None:
            now = asyncio.get_running_loop().time()
            self._free_at = max(self._free_at, now) + count / self._bytes_per_s
            await asyncio.sleep(self._free_at - now)


async def _send(
    incoming: web.Request, answer: _Answer, fault: Fault | None, line: _Line, note: Callable[[int], None]
) -> web.StreamResponse:
    """Send an answer, with what a fault does to its transport; `note` is called with the bytes of the body sent."""
    match fault:
        case ResetBefore():
            return _reset(incoming, web.StreamResponse())
        case Latency(seconds):
            await asyncio.sleep(seconds)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body)
    await response.prepare(incoming)
    if incoming.method == "HEAD":
        return response
    body = memoryview(answer.body)[: _come_through(len(answer.body), fault)]
    piece, pause_s = (fault.piece, fault.every_s) if isinstance(fault, Trickle) else (line.piece, 0.0)
    for start in range(0, len(body), piece):
        await asyncio.sleep(pause_s)
        await line.carry(len(body[start : start + piece]))
        note(len(body[start : start + piece]))  # before sending: a client that has received it may check at once
        await response.write(bytes(body[start : start + piece]))
    return await _ended(incoming, response, fault)


def _moved(answer: _Answer, later: int = 0) -> _Answer:
    """A part with a Content-Range that fits its current body, shifted by `later` bytes."""
    first, _, total = re.split("[-/]", answer.headers["Content-Range"].removeprefix("bytes "))
    start = int(first) + later
    return replace(
        answer,
        headers={**answer.headers, "Content-Range": f"bytes {start}-{int(first) + len(answer.body) - 1}/{total}"},
    )


def _heeded(request: Request, fault: Fault | None) -> Request:
    """The request without the headers that the server ignores."""
    lacking = fault.of if isinstance(fault, Heedless) else ()
    return request._replace(conditions={name: text for name, text in request.conditions.items() if name not in lacking})


def _come_through(size: int, fault: Fault | None) -> int:
    """How many bytes of a body are sent."""
    match fault:
        case ResetMidway(after_bytes) | Silence(after_bytes):
            return min(after_bytes, size)
        case ShortBody(by):
            return max(size - by, 0)
        case _:
            return size


async def _ended(incoming: web.Request, response: web.StreamResponse, fault: Fault | None) -> web.StreamResponse:
    """End the connection after the body as the fault wants."""
    match fault:
        case ResetMidway():
            return _reset(incoming, response)
        case ShortBody():
            return _close(incoming, response)
        case Silence(_, seconds):
            await asyncio.sleep(seconds)
            return _close(incoming, response)
        case _:
            return response


def _reset(incoming: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Reset the connection: closed with a linger time of zero, the kernel sends RST."""
    if incoming.transport is not None:
        incoming.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        incoming.transport.abort()
    return response


def _close(incoming: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Close the connection cleanly after what has been written."""
    if incoming.transport is not None:
        incoming.transport.close()
    return response


def _ranged(body: bytes, headers: Mapping[str, str], wanted: str | None) -> _Answer:
    """The body, or the one range of it that was requested."""
    if wanted is None:
        return _Answer(200, body, headers)
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
    if not found or not (found[1] or found[2]):
        return _error(400, "InvalidArgument")
    size = len(body)
    first = int(found[1]) if found[1] else max(size - int(found[2]), 0)
    last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    if first > last:
        return _error(416, "InvalidRange")
    return _Answer(206, body[first : last + 1], {**headers, "Content-Range": f"bytes {first}-{last}/{size}"})


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> _Answer:
    body = f"{_XML}<Error>{_element('Code', code)}{_element('Message', code)}<RequestId>loopback</RequestId></Error>"
    return _Answer(status, body.encode(), {"Content-Type": "application/xml", **(headers or {})})


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _encoded(text: str, as_url: bool) -> str:
    return quote(text, safe="/") if as_url else text


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()
