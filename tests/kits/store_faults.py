"""A proxy in front of an object store, which makes it fail by a script; signed requests pass, since it keeps Host.

with in_front_of(store.endpoint, one_in(3, seed=1)) as front:
    faulty = replace(store, endpoint=front.endpoint)
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO

from aiohttp import ClientSession, web
from yarl import URL

from ingest.demo.servers.answering import Answer, Line, send, spoilt
from ingest.demo.servers.faults import (
    INTERNAL_ERROR,
    SLOW_DOWN,
    Fault,
    FlipByte,
    Request,
    ResetAfter,
    ResetBefore,
    ResetMidway,
    Script,
    ShortBody,
    ShortLength,
    Status,
)
from ingest.demo.servers.listening import listening

_CONDITIONS = ("range", "if-match", "if-none-match")
_AUTO = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_OF_A_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})

FAILED = (SLOW_DOWN, INTERNAL_ERROR, Status(429, "TooManyRequests"), ResetBefore(), Status(502, "BadGateway"))
"""Nothing is done, and the answer says so, or there is none."""

LOST = (ResetAfter(), replace(INTERNAL_ERROR, took_effect=True))
"""What was asked for is done, and the answer does not say so."""

CONFLICT = Status(409, "ConditionalRequestConflict")
"""S3's answer where conditional writes meet: try again."""

FAULTS = {
    "put": (*FAILED, *LOST, CONFLICT),
    "part": (*FAILED, *LOST),
    "get": (*FAILED, ResetMidway(20), ShortBody(7), ShortLength(7), FlipByte(11)),
    "range": (*FAILED, ResetMidway(20), ShortBody(7), ShortLength(7)),
    "head": FAILED,
    "list": (*FAILED, ResetMidway(200), ShortBody(60), ShortLength(60)),
    "delete": (*FAILED, *LOST),
}
"""What `one_in` does to each kind of request. Nobody but a reader of gzip can see a byte that flips in a range."""


def kind_of(request: Request) -> str:
    """put, part (a request of several that put one object), get, range, head, list or delete."""
    match request.method:
        case "GET" if not request.key:
            return "list"
        case "GET":
            return "range" if "range" in request.conditions else "get"
        case "PUT":
            return "part" if "partNumber" in request.query else "put"
        case "POST" if "delete" not in request.query:
            return "part"
    return "head" if request.method == "HEAD" else "delete"


def one_in(number: int, seed: int) -> Script:
    """One request in `number` gets a fault of its kind; which, depends on the seed, its key and its count."""

    def script(request: Request) -> Fault | None:
        dice = random.Random(f"{seed} {request.method} {request.key} {request.nth}")
        return dice.choice(FAULTS[kind_of(request)]) if dice.random() * number < 1 else None

    return script


def first_of_each(kind: str, fault: Fault) -> Script:
    """The first request of this kind for each key gets the fault."""
    met: set[str] = set()

    def script(request: Request) -> Fault | None:
        if kind_of(request) != kind or request.key in met:
            return None
        met.add(request.key)
        return fault

    return script


@dataclass
class Front:
    """A running proxy. `script`, `latency_s` and `bend` may be changed at any time.

    `bend` makes of the body of a request what the store gets. `struck` are the requests with a fault.
    """

    target: str
    script: Script | None
    latency_s: float
    endpoint: str = ""
    bend: Callable[[Request, bytes], bytes] = lambda _, body: body
    requests: list[Request] = field(default_factory=list)
    struck: list[tuple[Request, Fault]] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _session: ClientSession | None = None

    async def handle(self, incoming: web.Request) -> web.StreamResponse:
        key = incoming.path.lstrip("/").partition("/")[2]
        self._counts[key] += 1
        asked = {name: incoming.headers[name] for name in _CONDITIONS if name in incoming.headers}
        request = Request(incoming.method, key, dict(incoming.query), self._counts[key], asked)
        self.requests.append(request)
        fault = self.script(request) if self.script else None
        if fault:
            self.struck.append((request, fault))
        await asyncio.sleep(self.latency_s)
        undone = isinstance(fault, ResetBefore) or (isinstance(fault, Status) and not fault.took_effect)
        answer = Answer(200, b"") if undone else await self._asked(incoming, request)
        return await send(incoming, spoilt(answer, fault), fault, Line(None), lambda count: None)

    async def _asked(self, incoming: web.Request, request: Request) -> Answer:
        if self._session is None:
            self._session = ClientSession(auto_decompress=False)
        headers = [(name, text) for name, text in incoming.headers.items() if name.lower() not in _OF_A_HOP]
        url = URL(f"{self.target}{incoming.raw_path}", encoded=True)
        body = self.bend(request, await incoming.read())
        sent = BytesIO(body) if body else None  # aiohttp warns of many bytes
        async with self._session.request(
            incoming.method,
            url,
            headers=headers,
            data=sent,
            allow_redirects=False,
            skip_auto_headers=_AUTO,
        ) as found:
            kept = {_spelled(name): text for name, text in found.headers.items() if name.lower() not in _OF_A_HOP}
            length = int(found.headers.get("Content-Length", 0)) if incoming.method == "HEAD" else None
            return Answer(found.status, await found.read(), kept, length)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _spelled(name: str) -> str:
    return "ETag" if name.lower() == "etag" else name  # so that a fault can replace it


@contextmanager
def in_front_of(endpoint: str, script: Script | None = None, latency_s: float = 0) -> Iterator[Front]:
    """A proxy on loopback to the store at `endpoint`; each request takes `latency_s` longer."""
    front = Front(endpoint, script, latency_s)
    with listening(front.handle, ended=front.close) as front.endpoint:
        yield front
