"""Ranges of an object, requested on condition that it is still the same one, and checked as they come.

Both HTTP conditions are sent (RFC 9110, 13.1.1 and 13.1.5). If-Match is S3's own, and costs no bytes if the object was
replaced (412). If-Range is for sources that ignore it: then the whole new object comes, and is not read. A source that
ignores both sends a range of the new object under its ETag, so the ETag of each answer is compared. (SeaweedFS 4.48
supports only If-Match; SeaweedFS 3.97 answered 412 to the right ETag.)
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from botocore import exceptions as boto

from ingest.errors import Disrupted, ObjectReplaced, Unranged
from ingest.sources import heard
from ingest.sources.base import RemoteObject, Write, etag_of
from ingest.sources.massive.s3_errors import status_of
from ingest.sources.spool import ByteRange

_OK, _PRECONDITION_FAILED, _NO_SUCH_RANGE = 200, 412, 416
_IF_RANGE = "IfRange"

_SAYABLE = re.compile(r"[!#-~]+")
"""ETags that are valid in a header, between quotes."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


def accept_if_range(client: Any) -> None:
    """Let a client's get_object take `IfRange`, for which botocore has no parameter.

    It is removed from the parameters before the request is built, and added to its headers before they are signed.
    """
    client.meta.events.register("before-parameter-build.s3.GetObject", _set_aside)
    client.meta.events.register("before-call.s3.GetObject", _add_header)


def _set_aside(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    if _IF_RANGE in params:
        context[_IF_RANGE] = params.pop(_IF_RANGE)


def _add_header(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    if _IF_RANGE in context:
        params["headers"]["If-Range"] = context[_IF_RANGE]


def asked_for(item: RemoteObject, stretch: ByteRange, matched: bool) -> Mapping[str, str]:
    """The parameters of a request for a range of this very object; `matched` says whether If-Match is among them."""
    wanted = {"Range": f"bytes={stretch.start}-{stretch.stop - 1}"}
    if not _SAYABLE.fullmatch(item.etag):
        return wanted
    tag = f'"{item.etag}"'
    return wanted | {_IF_RANGE: tag} | ({"IfMatch": tag} if matched else {})


@contextmanager
def replaced_is_told(what: str) -> Iterator[None]:
    """Raise ObjectReplaced if the source says that a condition fails, or that the object ends before the range."""
    try:
        yield
    except boto.ClientError as error:
        if status_of(error) in (_PRECONDITION_FAILED, _NO_SUCH_RANGE):
            raise ObjectReplaced(f"{what}: it is not the object that was listed any more") from error
        raise


async def pour(
    answer: Mapping[str, Any], item: RemoteObject, stretch: ByteRange, write: Write, alone: bool, *, at_once: int
) -> None:
    """Write the range as it comes, `at_once` bytes together, or the beginning of it that the source sends at once.

    What came before a fault is written, too.

    Raises Disrupted, ObjectReplaced or Unranged as `Source.fetch_stretch` does.
    """
    async with answer["Body"] as stream:
        at, end = _place(answer, item, stretch, alone)
        async with _gathering(stretch.start, write, at_once) as gathered:
            async for chunk in stream.content.iter_any():
                heard.received(len(chunk))
                if at + len(chunk) > end:
                    raise Disrupted(f"{item.key}: more bytes arrived than were requested")
                await gathered.add(chunk[max(stretch.start - at, 0) : stretch.stop - at])
                at += len(chunk)
                if at >= stretch.stop and end > stretch.stop:
                    return
    if at < end:
        raise Disrupted(f"{item.key}: {end - at:,} bytes that were announced are missing")


def _place(answer: Mapping[str, Any], item: RemoteObject, stretch: ByteRange, alone: bool) -> tuple[int, int]:
    """Where in the object a body begins and ends."""
    if "ETag" not in answer:  # an error under status 200, which botocore treats as a body
        raise Disrupted(f"{item.key}: the answer is not an object")
    is_whole = answer["ResponseMetadata"]["HTTPStatusCode"] == _OK
    start, stop, total = _all(answer, item) if is_whole else _part(answer, item)
    if (etag_of(answer["ETag"]), total) != (item.etag, item.size):
        raise ObjectReplaced(f"{item.key}: it is not the object that was listed any more")
    if is_whole and not alone:
        raise Unranged(f"{item.key}: the source sends whole objects when asked for a byte range")
    if not is_whole and not stretch.start == start < stop <= stretch.stop:
        raise Disrupted(f"{item.key}: a different byte range arrived than was requested")
    return start, stop


def _all(answer: Mapping[str, Any], item: RemoteObject) -> tuple[int, int, int]:
    """The edges of a body that is a whole object, and the object's size: the listed one, if the answer has none."""
    size = int(answer.get("ContentLength", item.size))
    return 0, size, size


def _part(answer: Mapping[str, Any], item: RemoteObject) -> tuple[int, int, int]:
    """The edges of a body that is a range of an object, and the object's size."""
    found = _CONTENT_RANGE.fullmatch(str(answer.get("ContentRange", "")))
    if not found:
        raise Disrupted(f"{item.key}: the answer does not say which part it contains")
    return int(found[1]), int(found[2]) + 1, int(found[3])


class _Gathered:
    """Collects small pieces, and writes them in larger ones."""

    def __init__(self, at: int, write: Write, at_once: int) -> None:
        self._at, self._write, self._at_once = at, write, at_once
        self._held = bytearray()

    async def add(self, data: bytes) -> None:
        self._held += data
        # An empty buffer means that the bytes are being skipped; that they come must be reported all the same.
        if not self._held or len(self._held) >= self._at_once:
            await self.flush()

    async def flush(self) -> None:
        held, self._held = self._held, bytearray()
        await self._write(self._at, held)
        self._at += len(held)


@asynccontextmanager
async def _gathering(at: int, write: Write, at_once: int) -> AsyncIterator[_Gathered]:
    """What has been collected is written at the end, also after a fault, or a second Ctrl-C."""
    gathered = _Gathered(at, write, at_once)
    try:
        yield gathered
    finally:
        with anyio.CancelScope(shield=True):
            await gathered.flush()
