"""The demo's source: a bucket on loopback, filled with a generated market, its newest days forbidden."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ingest.datasets import STOCKS_DAY
from ingest.demo import loopback, seaweed
from ingest.demo.market import Market

PROFILE = "ingest-demo"


@dataclass(frozen=True, slots=True)
class DemoSource:
    """Where the demo's files are; `credentials` is a file with the keys under `PROFILE`."""

    kind: str
    endpoint_url: str
    bucket: str
    credentials: Path
    objects: int


@contextmanager
def serve(sessions: Sequence[date], forbidden: Sequence[date]) -> Iterator[DemoSource]:
    """Serve a file for each session until the block is left, then remove all of it. Raises SourceUnavailable.

    SeaweedFS, a real object store, does it where its package is installed; else the small server of the tests.
    """
    with tempfile.TemporaryDirectory(prefix="ingest-demo-") as folder:
        serving = _seaweed if seaweed.available() else _loopback
        with serving(Path(folder), sessions, forbidden) as source:
            yield source


@contextmanager
def _seaweed(folder: Path, sessions: Sequence[date], forbidden: Sequence[date]) -> Iterator[DemoSource]:
    keys = [STOCKS_DAY.key(session) for session in sessions]
    hidden = {STOCKS_DAY.key(session) for session in forbidden}
    reader = seaweed.identity("reader", *seaweed.reader_actions("flatfiles", keys, hidden))
    writer = seaweed.identity("writer", "Admin", "Read", "List", "Write")
    with seaweed.serve(folder / "seaweed", [writer, reader]) as server:
        count = seaweed.fill(server, writer, Market().objects(sessions))
        credentials = _write_credentials(folder, reader)
        yield DemoSource("SeaweedFS", server.endpoint_url, server.bucket, credentials, count)


@contextmanager
def _loopback(folder: Path, sessions: Sequence[date], forbidden: Sequence[date]) -> Iterator[DemoSource]:
    objects = dict(Market().objects(sessions))
    with loopback.serve(objects, forbidden={STOCKS_DAY.key(session) for session in forbidden}) as server:
        credentials = _write_credentials(folder, seaweed.identity("reader"))
        yield DemoSource("a small S3 server", server.endpoint_url, server.bucket, credentials, len(objects))


def _write_credentials(folder: Path, who: seaweed.Identity) -> Path:
    path = folder / "credentials"
    path.touch(mode=0o600)
    path.write_text(f"[{PROFILE}]\naws_access_key_id = {who.access_key}\naws_secret_access_key = {who.secret_key}\n")
    return path
