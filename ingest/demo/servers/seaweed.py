"""A real S3 server on loopback: SeaweedFS in one process, with its data in the caller's directory.

The process does not outlive its parent: it ends when `serve` is left, also by Ctrl-C (which does not reach it, since it
has its own session) or SIGTERM; on Linux the kernel kills it when the parent is killed (see `child`). Elsewhere a
SIGKILL of the parent leaves it running.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ingest.demo.servers import weed
from ingest.demo.servers.child import sigterm_as_exit, spawn
from ingest.errors import SourceError, SourceUnavailable

_STARTS = 4
_WRITERS = 8


@dataclass(frozen=True, slots=True)
class Identity:
    """Keys and their permissions: `Admin`, or actions such as `List:bucket` and `Read:bucket/prefix*`."""

    name: str
    access_key: str
    secret_key: str
    actions: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Identity({self.name!r}, actions={self.actions!r})"  # keys stay out of logs


def identity(name: str, *actions: str) -> Identity:
    """An identity with new random keys."""
    return Identity(name, f"DEMO{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30), actions)


def reader_actions(bucket: str, keys: Iterable[str], forbidden: Collection[str]) -> tuple[str, ...]:
    """Actions that list the whole bucket and read all `keys` but the forbidden ones.

    A folder without a forbidden key may be read as a whole, including later files; in a mixed one each key is named.
    """
    closed = set(forbidden)
    mixed = {_folder(key) for key in closed}
    opened = [key for key in keys if key not in closed]
    targets = [key if _folder(key) in mixed else _folder(key) for key in opened]
    # Without the star SeaweedFS compares an action only with bucket names.
    return (f"List:{bucket}", *(f"Read:{bucket}/{target}*" for target in dict.fromkeys(targets)))


def _folder(key: str) -> str:
    return key[: key.rfind("/") + 1]


def available() -> bool:
    """Whether the binary is installed."""
    return weed.binary() is not None


class Server:
    """A running server, made by `serve`. `pid` is the process of SeaweedFS itself."""

    def __init__(self, port: int, pid: int, bucket: str, config: Path, identities: Sequence[Identity]) -> None:
        self.endpoint_url = f"http://{weed.HOST}:{port}"
        self.pid = pid
        self.bucket = bucket
        self._config = config
        self._identities = {who.name: who for who in identities}
        self._clients: dict[Identity, Any] = {}
        self._lock = threading.Lock()

    def client(self, who: Identity) -> Any:
        """A botocore client (path-style, one attempt, thread-safe) with an identity's keys; closed with the server."""
        with self._lock:
            if who not in self._clients:
                self._clients[who] = _client(self.endpoint_url, who)
            return self._clients[who]

    def admit(self, *identities: Identity, timeout_s: float = 10) -> None:
        """Add identities, or replace those of the same name, while the server runs (not on Windows: no SIGHUP)."""
        if sys.platform == "win32":
            raise SourceError("On Windows SeaweedFS does not accept new identities: name them at the start")
        with self._lock:
            self._identities |= {who.name: who for who in identities}
            beacon = identity("beacon", f"List:{self.bucket}")
            _write_config(self._config, [*self._identities.values(), beacon])
            os.kill(self.pid, signal.SIGHUP)
            self._await(beacon, timeout_s)

    def _await(self, beacon: Identity, timeout_s: float) -> None:
        """Wait until the beacon's keys are valid, and with them the whole configuration."""
        client = _client(self.endpoint_url, beacon)
        deadline = time.monotonic() + timeout_s
        try:
            while not _answers(client, self.bucket):
                if time.monotonic() > deadline:
                    raise SourceUnavailable(f"SeaweedFS did not take its new configuration in {timeout_s:.0f} s")
                time.sleep(0.01)
        finally:
            client.close()

    def close(self) -> None:
        """Close the clients."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()


@contextmanager
def serve(
    directory: Path,
    identities: Sequence[Identity],
    bucket: str = "flatfiles",
    ready_timeout_s: float = 30,
) -> Iterator[Server]:
    """Run SeaweedFS on free ports of loopback until the block is left; data and `weed.log` are in `directory`.

    Raises SourceUnavailable, with the end of the log, if it does not answer in time or is not installed. In the main
    thread it turns SIGTERM into SystemExit(143), unless a handler is set, so that `finally` blocks run.
    """
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    beacon = identity("ready", f"List:{bucket}")
    _write_config(directory / "s3.json", [*identities, beacon])
    with sigterm_as_exit():
        process, port = _started(directory, beacon, bucket, ready_timeout_s)
        server = Server(port, process.pid, bucket, directory / "s3.json", [*identities, beacon])
        try:
            yield server
        finally:
            server.close()
            weed.stop(process, port)


def put(server: Server, who: Identity, key: str, body: bytes, bucket: str | None = None) -> str:
    """Store an object; its ETag, without quotes, is the md5 of the body."""
    with _translated(f"put {key}"):
        answer = server.client(who).put_object(Bucket=bucket or server.bucket, Key=key, Body=body)
        return str(answer["ETag"]).strip('"')


def delete(server: Server, who: Identity, key: str, bucket: str | None = None) -> None:
    """Remove an object; a missing one is not an error."""
    with _translated(f"delete {key}"):
        server.client(who).delete_object(Bucket=bucket or server.bucket, Key=key)


def make_bucket(server: Server, who: Identity, bucket: str) -> None:
    """Make a bucket."""
    with _translated(f"make the bucket {bucket}"):
        server.client(who).create_bucket(Bucket=bucket)


def fill(server: Server, who: Identity, objects: Iterable[tuple[str, bytes]], bucket: str | None = None) -> int:
    """Store many objects, taken from the iterable as fast as the server accepts them. Returns their number."""
    under_way: deque[Future[str]] = deque()
    count = 0
    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="fill") as pool:
        for key, body in objects:
            under_way.append(pool.submit(put, server, who, key, body, bucket=bucket))
            count += 1
            if len(under_way) >= 2 * _WRITERS:
                under_way.popleft().result()
        for one in under_way:
            one.result()
    return count


@cache
def _session() -> Any:
    """One session for all clients: each new one loads the description of S3 again, which takes 0.1 s."""
    return botocore.session.Session()


def _client(endpoint_url: str, who: Identity) -> Any:
    return _session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint_url,
        aws_access_key_id=who.access_key,
        aws_secret_access_key=who.secret_key,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            proxies={},
            connect_timeout=5,
            read_timeout=20,
            max_pool_connections=_WRITERS,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _answers(client: Any, bucket: str) -> bool:
    """Whether a signed listing succeeds: the ports, the keys and the bucket are ready."""
    try:
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except (ClientError, BotoCoreError):
        return False
    return True


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise SourceError(f"SeaweedFS would not {doing}: {error}") from error


def _write_config(path: Path, identities: Iterable[Identity]) -> None:
    """Write the server's identities, readable only by this user."""
    entries = [
        {
            "name": who.name,
            "credentials": [{"accessKey": who.access_key, "secretKey": who.secret_key}],
            "actions": list(who.actions),
        }
        for who in identities
    ]
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - the mode
        json.dump({"identities": entries}, file)


def _started(directory: Path, beacon: Identity, bucket: str, timeout_s: float) -> tuple[subprocess.Popen[bytes], int]:
    """A server that answers, and its port. If it ends early, as when a port is taken, other ports are tried."""
    deadline = time.monotonic() + timeout_s
    for _ in range(_STARTS):
        port = weed.free_port()
        process = spawn(weed.command(directory, port, bucket), directory, weed.environment(), directory / weed.LOG)
        try:
            if _became_ready(process, port, beacon, bucket, deadline):
                return process, port
        except BaseException:
            weed.stop(process, port)
            raise
        weed.stop(process, port)
        if time.monotonic() > deadline:
            break
    raise SourceUnavailable(f"SeaweedFS does not answer; the end of its log:\n{weed.tail(directory / weed.LOG)}")


def _became_ready(process: subprocess.Popen[bytes], port: int, beacon: Identity, bucket: str, deadline: float) -> bool:
    client = _client(f"http://{weed.HOST}:{port}", beacon)
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if _answers(client, bucket):
                return True
            time.sleep(0.1)
        return False
    finally:
        client.close()
