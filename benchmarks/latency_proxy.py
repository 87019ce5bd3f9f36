"""A TCP proxy on loopback that delays each request and passes every byte through unchanged.

The client's first bytes, or its first after an answer, begin a request, and wait. Responses do not wait, so the proxy
adds one round trip per request; opening a connection is not slowed. The Host header is signed and names the proxy,
since the client uses the proxy's address.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from benchmarks.measure import CHECKOUT, python

_CHUNK = 1 << 18


@contextmanager
def proxied(endpoint_url: str, delay_s: float) -> Iterator[str]:
    """Run a proxy in its own process; yields its address. It ends with the block."""
    upstream = urlsplit(endpoint_url).port
    command = python("benchmarks.latency_proxy", upstream, delay_s)
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline()) if process.stdout else 0
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


class _Connection:
    """One client's connection: bytes go both ways until either side closes."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._idle = True

    async def requests(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        """Pass on what the client sends, delayed where a request begins."""
        while data := await client.read(_CHUNK):
            if self._idle and self._delay_s:
                await asyncio.sleep(self._delay_s)
            self._idle = False
            server.write(data)
            await server.drain()

    async def responses(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Pass on what the server sends."""
        while data := await server.read(_CHUNK):
            self._idle = True
            client.write(data)
            await client.drain()


async def _serve(upstream: int, delay_s: float) -> None:
    async def accept(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", upstream, limit=_CHUNK)
        connection = _Connection(delay_s)
        ways = [
            asyncio.create_task(connection.requests(from_client, to_server)),
            asyncio.create_task(connection.responses(from_server, to_client)),
        ]
        with suppress(ConnectionError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for writer in (to_server, to_client):
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=_CHUNK, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The parent never writes: its pipe ends when the parent does, however it ends.
    await asyncio.get_running_loop().run_in_executor(None, _until_parent_ends)


def _until_parent_ends() -> None:
    sys.stdin.read()


def main() -> None:
    """Serve until the parent ends."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("upstream", type=int)
    arguments.add_argument("delay_s", type=float)
    chosen = arguments.parse_args()
    asyncio.run(_serve(chosen.upstream, chosen.delay_s))


if __name__ == "__main__":
    main()
