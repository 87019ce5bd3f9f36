"""The demo's source: a bucket on loopback with generated files, the newest of them forbidden."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path

from ingest.demo.files.files import Files
from ingest.demo.servers import loopback, seaweed
from ingest.market.datasets import Dataset

PROFILE = "ingest-demo"
STORE_PROFILE = "ingest-demo-store"

_FILES, _PARTS = "flatfiles", "parts"
_STORE = f"s3://{_PARTS}/demo"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The files to serve for a dataset: one per session, of which the newest may not be read."""

    files: Files
    sessions: Sequence[date]
    forbidden: int

    @property
    def dataset(self) -> Dataset:
        """The dataset of the files."""
        return self.files.dataset

    @property
    def keys(self) -> list[str]:
        """Keys of all files."""
        return [self.dataset.key(session) for session in self.sessions]

    @property
    def hidden(self) -> list[str]:
        """Keys of the forbidden files."""
        return self.keys[len(self.sessions) - self.forbidden :]

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """All files, generated lazily."""
        return self.files.objects(self.sessions)


@dataclass(frozen=True, slots=True)
class DemoSource:
    """The running source of the demo; `credentials` is a file with the keys under `PROFILE`.

    `store` is the URL of a place in another bucket of the server, for parts, whose keys are under `STORE_PROFILE`; they
    do not open the source's bucket, nor its keys this one. "" without such a place.
    """

    kind: str
    endpoint_url: str
    bucket: str
    credentials: Path
    objects: int
    store: str = ""


@contextmanager
def serve(shelves: Sequence[Shelf], with_store: bool = False) -> Iterator[DemoSource]:
    """Serve these files until the block is left, then remove them all. Raises SourceUnavailable.

    Uses SeaweedFS, a real object store, if its package is installed; else the small server of the tests, which takes no
    parts: `with_store` needs SeaweedFS.
    """
    with tempfile.TemporaryDirectory(prefix="ingest-demo-") as folder:
        if with_store or seaweed.available():
            serving = _seaweed(Path(folder), shelves, with_store)
        else:
            serving = _loopback(Path(folder), shelves)
        with serving as source:
            yield source


@contextmanager
def _seaweed(folder: Path, shelves: Sequence[Shelf], with_store: bool) -> Iterator[DemoSource]:
    keys = [key for shelf in shelves for key in shelf.keys]
    hidden = {key for shelf in shelves for key in shelf.hidden}
    reader = seaweed.identity("reader", *seaweed.reader_actions(_FILES, keys, hidden))
    keeper = seaweed.identity("keeper", *(f"{action}:{_PARTS}" for action in ("List", "Read", "Write")))
    writer = seaweed.identity("writer", "Admin", "Read", "List", "Write")
    with seaweed.serve(folder / "seaweed", [writer, reader, keeper], _FILES) as server:
        count = seaweed.fill(server, writer, chain.from_iterable(shelf.objects() for shelf in shelves))
        if with_store:
            seaweed.make_bucket(server, writer, _PARTS)
        credentials = _write_credentials(folder, {PROFILE: reader} | ({STORE_PROFILE: keeper} if with_store else {}))
        store = _STORE if with_store else ""
        yield DemoSource("SeaweedFS", server.endpoint_url, server.bucket, credentials, count, store=store)


@contextmanager
def _loopback(folder: Path, shelves: Sequence[Shelf]) -> Iterator[DemoSource]:
    objects = dict(chain.from_iterable(shelf.objects() for shelf in shelves))
    with loopback.serve(objects, forbidden={key for shelf in shelves for key in shelf.hidden}) as server:
        credentials = _write_credentials(folder, {PROFILE: seaweed.identity("reader")})
        yield DemoSource("a small S3 server", server.endpoint_url, server.bucket, credentials, len(objects))


def _write_credentials(folder: Path, profiles: Mapping[str, seaweed.Identity]) -> Path:
    path = folder / "credentials"
    path.touch(mode=0o600)
    sections = (
        f"[{name}]\naws_access_key_id = {who.access_key}\naws_secret_access_key = {who.secret_key}\n"
        for name, who in profiles.items()
    )
    path.write_text("\n".join(sections))
    return path
