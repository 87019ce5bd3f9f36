"""Answers of the servers on loopback, and what a fault does to one: to its status, its bytes, its transport."""

import asyncio
import re
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from xml.sax.saxutils import escape

from aiohttp import web

from ingest.demo.servers.faults import (
    Capped,
    Fault,
    FlipByte,
    Foreign,
    Headers,
    Latency,
    LongBody,
    ResetAfter,
    ResetBefore,
    ResetMidway,
    Shifted,
    ShortBody,
    ShortLength,
    Silence,
    Status,
    Trickle,
    XmlError200,
)

XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_BLOCK = 1 << 16
_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers; `length` is that of a body that is not here, since it was not asked for."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


def spoilt(answer: Answer, fault: Fault | None) -> Answer:
    """The answer as a fault changes or replaces it."""
    match fault:
        case Status(code, s3_code, headers, _):
            return error(code, s3_code, dict(headers))
        case Foreign(status, page, headers):
            return Answer(status, page, dict(headers))
        case XmlError200(s3_code):
            return replace(error(500, s3_code), status=200)
        case Headers(changed):
            kept = {**answer.headers, **dict(changed)}
            return replace(answer, headers={name: text for name, text in kept.items() if text is not None})
        case _:
            return _bent(answer, fault)


def _bent(answer: Answer, fault: Fault | None) -> Answer:
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


class Line:
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


async def send(
    incoming: web.Request, answer: Answer, fault: Fault | None, line: Line, note: Callable[[int], None]
) -> web.StreamResponse:
    """Send an answer, with what a fault does to its transport; `note` is called with the bytes of the body sent."""
    match fault:
        case ResetBefore() | ResetAfter():
            return _reset(incoming, web.StreamResponse())
        case Latency(seconds):
            await asyncio.sleep(seconds)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body) if answer.length is None else answer.length
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


def _moved(answer: Answer, later: int = 0) -> Answer:
    """A part with a Content-Range that fits its current body, shifted by `later` bytes."""
    first, _, total = re.split("[-/]", answer.headers["Content-Range"].removeprefix("bytes "))
    start = int(first) + later
    return replace(
        answer,
        headers={**answer.headers, "Content-Range": f"bytes {start}-{int(first) + len(answer.body) - 1}/{total}"},
    )


def error(status: int, code: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error in S3's way."""
    body = f"{XML}<Error>{element('Code', code)}{element('Message', code)}<RequestId>loopback</RequestId></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml", **(headers or {})})


def element(name: str, text: str) -> str:
    """An element of XML with this text."""
    return f"<{name}>{escape(text)}</{name}>"
