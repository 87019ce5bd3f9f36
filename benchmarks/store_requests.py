"""What one request to an object store costs: a range read and a put, by our `Bucket` and by the libraries themselves.

All are asked in this process, with 32 requests under way, as a run or a question has them. The CPU time is that of the
process with all its threads, so without the store's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.stage import Bench
from ingest.cache.objects.bucket import Bucket

TOGETHER = 32
REQUESTS = 504
RANGE = 12_000
PUT = 200_000

_numbers = count()


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of CPU and of wall time for each of `REQUESTS` requests."""

    cpu_ms: float
    wall_ms: float


Contender = Callable[[], Cost]


@contextmanager
def contenders(bench: Bench, bucket: Bucket, body: bytes) -> Iterator[Mapping[str, Mapping[str, Contender]]]:
    """For a range read and for a put: by name, what measures so many of them."""
    names = [f"read/{number}" for number in range(REQUESTS)]
    for name in names:
        bucket.put_new(name, body[:PUT], sha256(body[:PUT]).hexdigest())
    local = bench.folder / "local"
    local.write_bytes(body[:PUT])
    bare = _bare(bench, bucket)
    with ThreadPoolExecutor(TOGETHER) as pool, asyncio.Runner() as runner:
        client = runner.run(_aioboto3(bench))
        in_bucket, prefix = bucket.url.removeprefix("s3://").split("/", 1)

        def threads(ask: Callable[[str], object], asked: Callable[[], Sequence[str]]) -> Contender:
            return lambda: _timed(lambda some: list(pool.map(ask, some)), asked())

        def tasks(ask: Callable[[str], Awaitable[object]], asked: Callable[[], Sequence[str]]) -> Contender:
            return lambda: _timed(lambda some: runner.run(_gathered(ask, some)), asked())

        async def read(name: str) -> object:
            got = await client.get_object(Bucket=in_bucket, Key=f"{prefix}/{name}", Range=f"bytes=0-{RANGE - 1}")
            return await got["Body"].read()

        async def put(name: str) -> object:
            return await client.put_object(
                Bucket=in_bucket, Key=f"{prefix}/{name}", Body=body[:PUT], IfNoneMatch="*", ChecksumAlgorithm="SHA256"
            )

        import obstore

        digest = sha256(body[:PUT]).hexdigest()
        yield {
            f"a range read of {RANGE / 1000:.0f} kB": {
                "`Bucket`": threads(lambda name: bucket.ranges(name, [(0, RANGE)]), lambda: names),
                "obstore": threads(
                    lambda name: bytes(obstore.get_range(bare, name, start=0, end=RANGE)), lambda: names
                ),
                "aioboto3": tasks(read, lambda: names),
                "a local file": threads(lambda _: _read(local), lambda: names),
            },
            f"a put of {PUT / 1000:.0f} kB": {
                "`Bucket`": threads(lambda name: bucket.put_new(name, body[:PUT], digest), _new),
                "obstore": threads(
                    lambda name: obstore.put(bare, name, body[:PUT], mode="create", use_multipart=False), _new
                ),
                "aioboto3": tasks(put, _new),
            },
        }
        runner.run(client.__aexit__(None, None, None))


def _new() -> list[str]:
    return [f"put/{next(_numbers)}" for _ in range(REQUESTS)]


def _timed(ask: Callable[[Sequence[str]], object], names: Sequence[str]) -> Cost:
    began, cpu = time.perf_counter(), time.process_time()
    ask(names)
    spent, wall = time.process_time() - cpu, time.perf_counter() - began
    return Cost(1000 * spent / len(names), 1000 * wall / len(names))


async def _gathered(ask: Callable[[str], Awaitable[object]], names: Sequence[str]) -> None:
    places = asyncio.Semaphore(TOGETHER)

    async def one(name: str) -> None:
        async with places:
            await ask(name)

    await asyncio.gather(*map(one, names))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(RANGE)


def _bare(bench: Bench, bucket: Bucket) -> Any:
    """The library's own client, set up as ours is."""
    from obstore.store import S3Store

    return S3Store.from_url(
        bucket.url,
        endpoint=bench.server.endpoint_url,
        region="us-east-1",
        access_key_id=bench.admin.access_key,
        secret_access_key=bench.admin.secret_key,
        checksum_algorithm="SHA256",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


async def _aioboto3(bench: Bench) -> Any:
    import aioboto3
    from botocore.config import Config

    session = aioboto3.Session(bench.admin.access_key, bench.admin.secret_key, region_name="us-east-1")
    how = Config(s3={"addressing_style": "path"}, max_pool_connections=TOGETHER)
    return await session.client("s3", endpoint_url=bench.server.endpoint_url, config=how).__aenter__()
