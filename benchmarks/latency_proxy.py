"""A TCP proxy on loopback that delays each request, slows each connection, and passes every byte through unchanged.

The client's first bytes, or its first after an answer, begin a request, and wait. Responses wait only for the speed of
their connection, so the proxy adds one round trip per request; opening a connection is not slowed. The Host header is
signed and names the proxy, since the client uses the proxy's address.
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


class Proxy:
    """The parent's end of a proxy's pipe."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.endpoint_url = f"http://127.0.0.1:{self._hear()}"

    def requests(self) -> int:
        """Requests that have gone through since this was asked last."""
        print(file=self._process.stdin, flush=True)
        return self._hear()

    def _hear(self) -> int:
        return int(self._process.stdout.readline()) if self._process.stdout else 0


@contextmanager
def proxied(endpoint_url: str, delay_s: float = 0, bytes_per_s: float = 0) -> Iterator[Proxy]:
    """Run a proxy in its own process, with this speed of each connection (0: any). It ends with the block."""
    upstream = urlsplit(endpoint_url).port
    command = python("benchmarks.latency_proxy", upstream, delay_s, bytes_per_s)
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Proxy(process)
        finally:
            process.kill()


class _Connection:
    """One client's connection: bytes go both ways until either side closes."""

    def __init__(self, delay_s: float, bytes_per_s: float, count: "_Count") -> None:
        self._delay_s, self._bytes_per_s, self._count = delay_s, bytes_per_s, count
        self._idle = True
        self._free_at = 0.0

    async def requests(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        """Pass on what the client sends, delayed where a request begins."""
        while data := await client.read(_CHUNK):
            self._count.requests += self._idle
            if self._idle and self._delay_s:
                await asyncio.sleep(self._delay_s)
            self._idle = False
            server.write(data)
            await server.drain()

    async def responses(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Pass on what the server sends, as fast as the connection is."""
        while data := await server.read(_CHUNK):
            self._idle = True
            if self._bytes_per_s:
                now = asyncio.get_running_loop().time()
                self._free_at = max(self._free_at, now) + len(data) / self._bytes_per_s
                await asyncio.sleep(self._free_at - now)
            client.write(data)
            await client.drain()


class _Count:
    """Requests so far."""

    requests = 0


async def _serve(upstream: int, delay_s: float, bytes_per_s: float) -> None:
    count = _Count()

    async def accept(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", upstream, limit=_CHUNK)
        connection = _Connection(delay_s, bytes_per_s, count)
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
    # The parent writes a line to be told the count; its pipe ends when the parent does, however it ends.
    while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        print(count.requests, flush=True)
        count.requests = 0


def main() -> None:
    """Serve until the parent ends."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("upstream", type=int)
    arguments.add_argument("delay_s", type=float)
    arguments.add_argument("bytes_per_s", type=float)
    chosen = arguments.parse_args()
    asyncio.run(_serve(chosen.upstream, chosen.delay_s, chosen.bytes_per_s))


if __name__ == "__main__":
    main()
