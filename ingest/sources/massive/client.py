"""Massive's flat files over S3: one client per run, one attempt per call."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiobotocore.config import AioConfig
from botocore import exceptions as boto

from ingest.errors import Disrupted, SourceRefused, UsageError
from ingest.settings import SourceSettings
from ingest.settings.tuning import DEFAULT, Tuning
from ingest.sources import heard
from ingest.sources.base import Body, RemoteObject, Write, etag_of, is_as_listed, looks_like_md5
from ingest.sources.massive import ranges
from ingest.sources.massive.direct import ObjectGetter
from ingest.sources.massive.intermediaries import NOT_S3, closing_what_fails, know_who_answers
from ingest.sources.massive.origins import credentials_file
from ingest.sources.massive.s3_errors import ahead_of, answering, iso, status_of, translating
from ingest.sources.massive.session import open_session
from ingest.sources.massive.transport import check_way
from ingest.sources.spool import ByteRange

_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _NO_SUCH_RANGE = 400, 403, 404, 416
_CHUNK = 1 << 20

_MAX_NEWER = 1 << 20
"""The same as `Tuning.most_grown` for one that comes into memory, where room was made for the listed size: the next
listing has its size."""

_MAX_BODY = 1 << 30
"""The most bytes of any object, whatever the listing says: it is in memory."""


class MassiveSource:
    """An open client; made by `connect`."""

    def __init__(self, client: Any, bucket: str, keys: Any, tuning: Tuning, objects: ObjectGetter | None) -> None:
        self._client = client
        self._bucket = bucket
        self._keys = keys
        self._tuning = tuning
        self._objects = objects
        self._mismatched: dict[str, str] = {}
        self._matched = True
        self.requests = 0

    async def listing(self, prefix: str) -> list[RemoteObject]:
        """All objects below a prefix, in the order of their keys; one request per 1,000.

        Raises Disrupted if the pages do not join up; another attempt may succeed.
        """
        found: dict[str, RemoteObject] = {}
        tokens: list[str] = []
        for _ in range(self._tuning.most_pages):
            page = await self._page(prefix, {"ContinuationToken": tokens[-1]} if tokens else {})
            found.update((item.key, item) for item in _entries(page, prefix))
            if not (token := _next(page, prefix)):
                return [found[key] for key in sorted(found)]
            if token in tokens:
                raise Disrupted(f"listing {prefix}: a page came twice")
            tokens.append(token)
        raise SourceRefused(f"listing {prefix}: it does not end within {self._tuning.most_pages:,} pages; {NOT_S3}")

    async def _page(self, prefix: str, more: Mapping[str, object]) -> Mapping[str, Any]:
        with self._asking(f"listing {prefix}"):
            try:
                return await self._call(f"listing {prefix}", "list_objects_v2", Prefix=prefix, **more)
            except boto.ClientError as error:
                # How long a token is valid is not documented.
                if "ContinuationToken" in more and status_of(error) == _BAD_REQUEST:
                    raise Disrupted(f"listing {prefix}: {error}") from error
                raise

    async def clock_skew(self, prefix: str) -> float | None:
        """Seconds that this computer's clock is ahead of the source's, by the shortest possible listing.

        None if the source does not give its time.
        """
        page = await self._page(prefix, {"MaxKeys": 1})
        _entries(page, prefix)
        return ahead_of(page["ResponseMetadata"]["HTTPHeaders"].get("date"))

    async def probe(self, item: RemoteObject) -> None:
        """Whether the keys may read an object, at the price of its first byte."""
        with self._asking(item.key), _empty_may_be_read():
            answer = await self._call(item.key, "get_object", Key=item.key, Range="bytes=0-0")
            async with answer["Body"] as stream:
                start = await _whole(stream.content, item.key, self._tuning.most_grown)
            if "ContentRange" not in answer:
                _check_object(item, answer, start)

    async def fetch(self, item: RemoteObject) -> Body:
        """One object, whole: its length is checked, and its md5 if the ETag is one."""
        with self._asking(item.key):
            answer = await self._whole_object(item.key)
            async with answer["Body"] as stream:
                same = etag_of(answer.get("ETag")) == item.etag
                data = await _whole(stream.content, item.key, item.size if same else max(2 * item.size, _MAX_NEWER))
            return self._checked(item, answer, data)

    async def look_up(self, item: RemoteObject) -> RemoteObject:
        """The object that the key has now.

        If it is the same one after all, the source misunderstands If-Match (a SeaweedFS did), which is left out from
        now on. Raises Disrupted if its size is not what was listed, or beyond all limits.
        """
        with self._asking(item.key):
            answer = await self._head(item)
            _check_object(item, answer, b"")
            etag, size = etag_of(answer["ETag"]), int(answer.get("ContentLength", -1))
        if (etag, size) == (item.etag, item.size):
            self._matched = False
            return item
        if etag == item.etag or not 0 <= size <= max(2 * item.size, self._tuning.most_grown):
            raise Disrupted(f"{item.key}: it has {size:,} bytes, which is not what was listed")
        return RemoteObject(item.key, size, etag, iso(answer.get("LastModified")))

    async def _head(self, item: RemoteObject) -> Mapping[str, Any]:
        """The headers of HEAD for an object. A refusal of HEAD has no body that says who refuses, so a GET follows."""
        try:
            return await self._call(item.key, "head_object", Key=item.key)
        except boto.ClientError as error:
            if status_of(error) not in (_FORBIDDEN, _NOT_FOUND):
                raise
            await self.probe(item)
            raise Disrupted(f"{item.key}: HEAD is refused ({status_of(error)}), but GET is not") from error

    async def fetch_stretch(self, item: RemoteObject, stretch: ByteRange, write: Write, alone: bool) -> None:
        """A range of an object as it comes; see `Source.fetch_stretch`."""
        asked = ranges.asked_for(item, stretch, self._matched)
        with self._asking(item.key), ranges.replaced_is_told(item.key):
            answer = await self._call(item.key, "get_object", Key=item.key, **asked)
            await ranges.pour(answer, item, stretch, write, alone, at_once=self._tuning.written_bytes)

    def _checked(self, item: RemoteObject, answer: Mapping[str, Any], data: bytes) -> Body:
        """The body, stored under the ETag of the listing if it is the object that was listed."""
        came = RemoteObject(item.key, len(data), etag_of(answer.get("ETag")), iso(answer.get("LastModified")))
        hashed = looks_like_md5(came.etag) or looks_like_md5(item.etag)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest() if hashed else ""
        listed = is_as_listed(item, came, md5)
        if not (listed and md5 == item.etag):
            _check_object(item, answer, data)
        # An object replaced since the listing has another length.
        expected = item.size if came.etag == item.etag else int(answer.get("ContentLength", len(data)))
        if len(data) != expected:
            raise Disrupted(f"{item.key}: {len(data)} bytes arrived, but {expected} were announced")
        kept = item if listed else came
        is_md5 = self._is_md5(item.key, {one for one in (came.etag, kept.etag) if looks_like_md5(one)}, md5)
        return Body(data, kept.etag, kept.last_modified, etag_is_md5=is_md5)

    def _is_md5(self, key: str, told: Collection[str], md5: str) -> bool:
        """Compare the bytes with the ETags that look like an md5.

        Two attempts that bring the same bytes are believed over the ETag: some stores' ETags look like an md5 but are
        something else, and gzip has a checksum of its own. They are believed once: if the bytes turn out not to be
        gzip, they are requested twice again.
        """
        if not told or md5 in told:
            return True
        if self._mismatched.pop(key, None) != md5:
            self._mismatched[key] = md5
            raise Disrupted(f"{key}: the body's md5 is not the ETag")
        return False

    async def _whole_object(self, key: str) -> Mapping[str, Any]:
        if self._objects is None:
            return await self._call(key, "get_object", Key=key)
        return await self._counted(key, self._objects.get(key))

    async def _call(self, what: str, operation: str, **asked: object) -> Mapping[str, Any]:
        return await self._counted(what, getattr(self._client, operation)(Bucket=self._bucket, **asked))

    async def _counted(self, what: str, request: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        """One request, counted; an answer that cannot be read is Disrupted, botocore's own errors pass through."""
        self.requests += 1
        with answering(what), closing_what_fails():
            return await request

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Translate what a request, and reading its answer, may raise."""
        with translating(what, self._keys):
            yield


@contextmanager
def _empty_may_be_read() -> Iterator[None]:
    """A source that would let us read an object without a first byte answers 416."""
    try:
        yield
    except boto.ClientError as error:
        if status_of(error) != _NO_SUCH_RANGE:
            raise


@asynccontextmanager
async def connect(settings: SourceSettings, tuning: Tuning = DEFAULT) -> AsyncIterator[MassiveSource]:
    """Open one client for the run; raises UsageError if the profile, its keys or the route to the source is invalid."""
    check_way(settings.endpoint_url)
    session, keys = await open_session(settings)
    async with AsyncExitStack() as opened:
        try:
            client = await opened.enter_async_context(
                session.client(
                    "s3", endpoint_url=settings.endpoint_url, region_name=settings.region, config=_config(settings)
                )
            )
        except (boto.BotoCoreError, ValueError, OSError, AttributeError) as error:
            raise UsageError(_unusable(error)) from error
        _share_endpoint(client)
        ranges.accept_if_range(client)
        know_who_answers(client)
        # Checksums of S3's own are checked by the client.
        objects = ObjectGetter(client, settings.bucket, keys) if settings.checksums == "when_required" else None
        yield MassiveSource(client, settings.bucket, keys, tuning, objects)


def _unusable(error: Exception) -> str:
    return (
        f"no connection can be set up: {error}; see [source], the AWS_… environment variables, {credentials_file()} "
        "and the AWS config file"
    )


def _share_endpoint(client: Any) -> None:
    """Resolve the endpoint once for all objects.

    botocore caches what its rules make of their parameters, but the key is one of these, though no rule reads it: the
    rules would be evaluated for each object, a sixth of the cost of a GET.
    """
    key = client.meta.service_model.operation_model("GetObject").input_shape.members["Key"]
    key.metadata.pop("contextParam", None)


def _config(settings: SourceSettings) -> AioConfig:
    return AioConfig(
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        max_pool_connections=settings.concurrency,
        request_checksum_calculation=settings.checksums,
        response_checksum_validation=settings.checksums,
        # One attempt: retries are decided where the whole read of a body can be repeated.
        retries={"total_max_attempts": 1, "mode": "standard"},
        # A user agent of our own: botocore composes its own for each request.
        user_agent="ingest",
        # Massive's virtual-host addresses lead to another gateway.
        s3={"addressing_style": "path"},
        signature_version="s3v4",
        parameter_validation=False,
    )


async def _whole(content: aiohttp.StreamReader, key: str, most: int) -> bytes:
    """A body of up to so many bytes; a longer one is not what was requested, and is not read further."""
    most, size, chunks = min(most, _MAX_BODY), 0, list[bytes]()
    async for chunk in content.iter_chunked(_CHUNK):
        heard.received(len(chunk))
        size += len(chunk)
        if size > most:
            raise Disrupted(f"{key}: more than {most:,} bytes arrived, which is not what was listed")
        chunks.append(chunk)
    return b"".join(chunks)


def _check_object(item: RemoteObject, answer: Mapping[str, Any], data: bytes) -> None:
    if "ETag" not in answer:  # an error under status 200, which botocore treats as a body
        raise Disrupted(f"{item.key}: the answer is not an object: {data[:200]!r}")


def _entries(page: Mapping[str, Any], prefix: str) -> list[RemoteObject]:
    """The objects of a page. Raises Disrupted if it contradicts itself, or an object is missing a required field."""
    try:
        entries = page.get("Contents", ())
        # Keys of which none is below the requested prefix are URL-encoded, although the answer does not say so.
        read = str if any(entry["Key"].startswith(prefix) for entry in entries) else unquote
        found = [_remote_object(entry, read(entry["Key"])) for entry in entries]
    except (LookupError, ValueError) as error:
        raise Disrupted(f"listing {prefix}: the answer is not a listing; {NOT_S3}") from error
    if not found and page.get("KeyCount", 0) > len(page.get("CommonPrefixes", ())):
        raise Disrupted(f"listing {prefix}: {page['KeyCount']:,} keys are announced, but none are listed; {NOT_S3}")
    return found


def _next(page: Mapping[str, Any], prefix: str) -> str | None:
    """What leads to the next page, if there is one; a page need not say that it is the last."""
    token: str | None = page.get("NextContinuationToken")
    if page.get("IsTruncated") and not token:
        raise Disrupted(f"listing {prefix}: the answer breaks off")
    return token if page.get("IsTruncated", True) else None


def _remote_object(entry: Mapping[str, Any], key: str) -> RemoteObject:
    size = int(entry["Size"])
    if size < 0:
        raise ValueError("a negative size")
    return RemoteObject(key, size, etag_of(entry["ETag"]), entry.get("LastModified", ""))
