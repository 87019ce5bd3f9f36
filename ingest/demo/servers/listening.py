"""A server on a free port of loopback, in a thread of this process."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

from aiohttp import web

_HOST: Final = "127.0.0.1"
_MOST_BYTES = 1 << 30

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Ended = Callable[[], Awaitable[None]]


@contextmanager
def listening(handle: Handler, tls: ssl.SSLContext | None = None, ended: Ended | None = None) -> Iterator[str]:
    """Answer all requests by `handle`, in a thread of its own, until the block is left; yields the server's URL.

    `ended` is called in that thread when no request comes any more.
    """
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(_run(handle, started, tls, ended)), name="loopback", daemon=True
    )
    thread.start()
    url, loop, stop = started.result()
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _run(
    handle: Handler,
    started: "Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]",
    tls: ssl.SSLContext | None,
    ended: Ended | None,
) -> None:
    app = web.Application(client_max_size=_MOST_BYTES)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    try:
        await runner.setup()
        await web.TCPSite(runner, _HOST, 0, ssl_context=tls).start()
    except BaseException as error:
        started.set_exception(error)
        raise
    stop = asyncio.Event()
    url = f"{'https' if tls else 'http'}://{_HOST}:{runner.addresses[0][1]}"
    started.set_result((url, asyncio.get_running_loop(), stop))
    await stop.wait()
    await runner.cleanup()
    if ended is not None:
        await ended()
