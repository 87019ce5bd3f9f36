"""A small S3-compatible server on loopback, in a thread of this process: for tests, and for demos without SeaweedFS.

Path-style; GET and HEAD of objects (ranges, If-Match, If-Range) and ListObjectsV2 (prefix, pages; no delimiters). It
does NOT check signatures; it can check the access key's name. Objects are a dictionary that may change while it runs. A
script of `faults` makes it fail in ways a healthy server does not.
"""

import base64
import hashlib
import re
import ssl
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from urllib.parse import quote

from aiohttp import web

from ingest.demo.servers.answering import XML, Answer, Line, element, error, send, spoilt
from ingest.demo.servers.faults import Fault, Heedless, Request, Script
from ingest.demo.servers.listening import listening

_MAX_KEYS = 1000
_CONDITIONS = ("range", "if-range", "if-match")


class Server:
    """A running server, made by `serve`. `objects` and `forbidden` may be changed at any time."""

    def __init__(
        self,
        objects: MutableMapping[str, bytes],
        *,
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
        self._line = Line(bytes_per_s)
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
            return await send(incoming, self._dated(spoilt(answer, fault)), fault, self._line, note)
        finally:
            self._at_once -= 1

    def _note_sent(self, key: str, count: int) -> None:
        self.sent[key] += count

    def _dated(self, answer: Answer) -> Answer:
        now = format_datetime(datetime.now(UTC) + self._ahead, usegmt=True)
        return replace(answer, headers={"Date": now, **answer.headers})

    def _refusal(self, bucket: str, incoming: web.Request) -> Answer | None:
        who = re.search(r"Credential=([^/,]*)", incoming.headers.get("Authorization", ""))
        if self._access_keys is not None and (who is None or who[1] not in self._access_keys):
            return error(403, "InvalidAccessKeyId")
        if bucket != self.bucket:
            return error(404, "NoSuchBucket")
        return None

    def _answer(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return error(405, "MethodNotAllowed")
        if not request.key:
            return self._listing(request.query)
        if request.key in self.forbidden:
            return error(403, "AccessDenied")
        body = self.objects.get(request.key)
        if body is None:
            return error(404, "NoSuchKey")
        return self._object(request.key, body, request.conditions)

    def _object(self, key: str, body: bytes, asked: Mapping[str, str]) -> Answer:
        etag = self._etag(key, body)
        headers = {
            "ETag": etag,
            "Last-Modified": format_datetime(self._changed(key), usegmt=True),
            "Accept-Ranges": "bytes",
            "Content-Type": "application/gzip",
        }
        if asked.get("if-match", etag).strip('"') != etag.strip('"'):
            return error(412, "PreconditionFailed")
        return _ranged(body, headers, asked.get("range") if asked.get("if-range", etag) == etag else None)

    def _listing(self, query: Mapping[str, str]) -> Answer:
        if query.get("list-type") != "2" or query.get("delimiter"):
            return error(501, "NotImplemented")
        limit = min(int(query.get("max-keys", _MAX_KEYS)), self._page_size)
        token = query.get("continuation-token")
        after = base64.urlsafe_b64decode(token).decode() if token else query.get("start-after", "")
        prefix = query.get("prefix", "")
        objects = [
            (key, body) for key, body in sorted(dict(self.objects).items()) if key.startswith(prefix) and key > after
        ]
        page = objects[:limit]
        following = page[-1][0] if page and len(objects) > limit else None
        return Answer(200, self._page(query, page, following).encode(), {"Content-Type": "application/xml"})

    def _page(self, query: Mapping[str, str], page: list[tuple[str, bytes]], following: str | None) -> str:
        as_url = query.get("encoding-type") == "url"
        parts = [
            element("Name", self.bucket),
            element("Prefix", _encoded(query.get("prefix", ""), as_url)),
            element("KeyCount", str(len(page))),
            element("MaxKeys", query.get("max-keys", str(_MAX_KEYS))),
            element("IsTruncated", "true" if following else "false"),
            *([element("EncodingType", "url")] if as_url else []),
            *([element("NextContinuationToken", _token(following))] if following else []),
            *(self._entry(key, body, as_url) for key, body in page),
        ]
        return f'{XML}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{"".join(parts)}</ListBucketResult>'

    def _entry(self, key: str, body: bytes, as_url: bool) -> str:
        parts = [
            element("Key", _encoded(key, as_url)),
            element("LastModified", self._changed(key).strftime("%Y-%m-%dT%H:%M:%S.000Z")),
            element("ETag", self._etag(key, body)),
            element("Size", str(len(body))),
            element("StorageClass", "STANDARD"),
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
    server = Server(
        objects,
        bucket=bucket,
        forbidden=forbidden,
        faults=faults,
        access_keys=access_keys,
        page_size=page_size,
        clock_ahead_s=clock_ahead_s,
        bytes_per_s=bytes_per_s,
    )
    with listening(server.handle, tls) as server.endpoint_url:
        yield server


def _heeded(request: Request, fault: Fault | None) -> Request:
    """The request without the headers that the server ignores."""
    missing = fault.of if isinstance(fault, Heedless) else ()
    return request._replace(conditions={name: text for name, text in request.conditions.items() if name not in missing})


def _ranged(body: bytes, headers: Mapping[str, str], wanted: str | None) -> Answer:
    """The body, or the one range of it that was requested."""
    if wanted is None:
        return Answer(200, body, headers)
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
    if not found or not (found[1] or found[2]):
        return error(400, "InvalidArgument")
    size = len(body)
    first = int(found[1]) if found[1] else max(size - int(found[2]), 0)
    last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    if first > last:
        return error(416, "InvalidRange")
    return Answer(206, body[first : last + 1], {**headers, "Content-Range": f"bytes {first}-{last}/{size}"})


def _encoded(text: str, as_url: bool) -> str:
    return quote(text, safe="/") if as_url else text


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()
