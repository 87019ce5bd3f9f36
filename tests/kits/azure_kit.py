"""Azurite, Microsoft's emulator of Azure's blob storage, where it is installed: `npm install -g azurite`."""

import base64
import hashlib
import hmac
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from ingest.demo.servers.child import spawn

ACCOUNT = "market"
CONTAINER = "parts"


@contextmanager
def azurite(folder: Path) -> Iterator[tuple[str, str]]:
    """The endpoint and the key of an account of this server's own, with an empty container; skips without Azurite."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not installed")
    port, key = _free_port(), base64.b64encode(os.urandom(64)).decode()
    told = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--skipApiVersionCheck"]
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
    process = spawn([program, *told, "--silent", "--disableTelemetry"], folder, environment, folder / "log")
    try:
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        _create(endpoint, key)
        yield endpoint, key
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _create(endpoint: str, key: str, tries: int = 100) -> None:
    """Create the container, as soon as the server answers."""
    named = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    lines = [f"{name}:{value}" for name, value in named.items()]
    signed = "\n".join(["PUT", *[""] * 11, *lines, f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}", "restype:container"])
    mac = base64.b64encode(hmac.digest(base64.b64decode(key), signed.encode(), hashlib.sha256)).decode()
    headers = {**named, "Authorization": f"SharedKey {ACCOUNT}:{mac}", "Content-Length": "0"}
    asked = urllib.request.Request(f"{endpoint}/{CONTAINER}?restype=container", method="PUT", headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for left in reversed(range(tries)):
        try:
            opener.open(asked, timeout=5).close()
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError) or not left:
                raise
            time.sleep(0.1)
        else:
            return
