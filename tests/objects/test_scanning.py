"""What polars is told of a place: it asks the right server, with keys of the environment, and keeps none of them."""

import pickle
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest

from ingest.cache.objects.client import Access
from ingest.cache.objects.scanning import scan_options

pytestmark = pytest.mark.polars_scans_objects

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY")
SECRET = "c2VjcmV0c2VjcmV0"


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    for name in KEYS:
        monkeypatch.setenv(name, "market" if name.endswith(("NAME", "ID")) else SECRET)


@contextmanager
def refusing():
    """A server that refuses all; the address, and what it was asked: path and signature of each request."""
    asked = list[tuple[str, str]]()

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization", "")))
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def scanned(access):
    """The error of a scan that is refused."""
    rows = pl.scan_parquet([f"{access.url}/x.parquet"], glob=False, hive_partitioning=False, **scan_options(access))
    with pytest.raises(PermissionError) as caught:
        rows.collect()
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "account", "path", "signed"),
    [
        ("s3://bucket/p", "", "/bucket/p/x.parquet", "AWS4-HMAC-SHA256 Credential=market/"),
        ("az://parts/p", "/market", "/market/parts/p/x.parquet", "SharedKey market:"),
    ],
)
def test_requests_are_signed_with_keys_of_the_environment(url, account, path, signed):
    with refusing() as (address, asked):
        said = scanned(Access(url, address + account))
    assert {one for one, _ in asked} == {path}
    assert all(signature.startswith(signed) for _, signature in asked)
    assert SECRET not in said


def test_without_a_signature_none_is_sent(monkeypatch):
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    with refusing() as (address, asked):
        scanned(Access("s3://open/p", address))
    assert {signature for _, signature in asked} == {""}


@pytest.mark.parametrize("url", ["s3://bucket/p", "az://parts/p", "gs://bucket/p"])
def test_no_key_is_in_what_polars_is_told(url):
    told = scan_options(Access(url))
    assert SECRET not in repr(told)
    assert SECRET.encode() not in pickle.dumps(told)
