"""What many tests share: one real S3 server for the whole run of pytest.

A test that needs a store asks for `bucket`, a new and empty bucket of its own, and for `seaweed`, the server. Buckets
do not see each other, so tests need not care what others store; keys for readers are made with `seaweed.reader`, new
ones for each call. `writer` may do anything anywhere: use it to fill, not to read in the code under test.
"""

import gc
import itertools
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import descriptions
import hypothesis
import pytest
from others_kit import HOW, Reader, readable_folder, remove
from pipeline_kit import market_objects, write_keys
from store_kit import keys_in_environment, place
from tuning_kit import tune

from ingest.cache.objects.bucket import Bucket
from ingest.demo.servers import loopback
from ingest.demo.servers import seaweed as weed

# Hundreds of processes are started: where each would compile all modules again, the suite takes a third longer.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The keys of whoever runs the tests are not for the tests' servers.
for _name in ("MASSIVE_S3_ACCESS_KEY", "MASSIVE_S3_SECRET_KEY"):
    if not any("live" in _word for _word in sys.argv):
        os.environ.pop(_name, None)

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("usual", deadline=None, max_examples=50)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))

_NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with `polars_scans_objects` come last in their process.

    Once polars has read an object store, a thread of it calls `getenv` ten times a second for as long as the process
    lives, and glibc before 2.41 may crash there while another thread adds a variable, as thousands of tests do.
    """
    items.sort(key=lambda item: item.get_closest_marker("polars_scans_objects") is not None)


def pytest_collection_finish() -> None:
    """Look for garbage as a run does: the modules never become any, and to search them takes a tenth of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@dataclass(frozen=True, slots=True)
class Seaweed:
    """The running server, and an identity that may do everything."""

    server: weed.Server
    writer: weed.Identity
    spare: list[weed.Identity]
    """Keys that may read and list everything, and are not given to anyone yet."""

    @property
    def endpoint_url(self) -> str:
        return self.server.endpoint_url

    def reader(self, *actions: str) -> weed.Identity:
        """New keys with these actions, valid at once; without any: keys that may read and list everything."""
        if self.spare and not actions:
            return self.spare.pop()
        who = _reader(*(actions or ("List", "Read")))
        self.server.admit(who)
        return who

    def permit(self, who: weed.Identity, *actions: str) -> weed.Identity:
        """The same keys with other actions, valid at once: what a change of plan at the vendor's looks like."""
        changed = weed.Identity(who.name, who.access_key, who.secret_key, actions)
        self.server.admit(changed)
        return changed

    def fill(self, bucket: str, objects: Iterable[tuple[str, bytes]]) -> int:
        return weed.fill(self.server, self.writer, objects, bucket)

    def put(self, bucket: str, key: str, body: bytes) -> str:
        return weed.put(self.server, self.writer, key, body, bucket)

    def delete(self, bucket: str, key: str) -> None:
        weed.delete(self.server, self.writer, key, bucket)


def _reader(*actions: str) -> weed.Identity:
    return weed.identity(f"reader-{next(_NUMBERS)}", *actions)


@pytest.fixture(scope="session", autouse=True)
def descriptions_read_once() -> Iterator[None]:
    with descriptions.parsed_once():
        yield


@pytest.fixture(scope="session")
def seaweed_installed() -> None:
    """Skip where no wheel of SeaweedFS exists; elsewhere its absence is a broken set-up."""
    if weed.available():
        return
    here = (sys.platform, platform.machine())
    if sys.platform == "win32" or here in {("linux", "x86_64"), ("darwin", "arm64")}:
        pytest.fail("SeaweedFS is not installed: install the project with its extra `test`")
    pytest.skip(f"there is no wheel of SeaweedFS for {here}")


@pytest.fixture(scope="session")
def seaweed(seaweed_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """The server; the first test that asks waits for it, about 1.5 s. Keys that come later take it a second each."""
    writer, spare = weed.identity("writer", "Admin"), [_reader("List", "Read") for _ in range(200)]
    with weed.serve(tmp_path_factory.mktemp("seaweed"), [writer, *spare]) as server:
        yield Seaweed(server, writer, spare)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """This process's environment, with keys where a run looks for them; what a module starts gets it."""
    file = tmp_path_factory.mktemp("keys") / "credentials"
    write_keys(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        patch.setenv("AWS_CONFIG_FILE", str(file.with_name("none")))
        yield dict(os.environ)


@pytest.fixture
def loopback_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of keys where a run looks for them, for the loopback server, which checks no signature."""
    file = tmp_path / "credentials"
    write_keys(file)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    return file


@pytest.fixture
def server(request: pytest.FixtureRequest, loopback_keys: Path) -> Iterator[loopback.Server]:
    """A source of this test's own, with the market's files of its module's DAYS, and keys for it."""
    with loopback.serve(market_objects(request.module.DAYS)) as running:
        yield running


@pytest.fixture
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any wait before another attempt."""
    tune(monkeypatch, longest_wait_s=0.01)


@pytest.fixture(params=HOW)
def reader(request: pytest.FixtureRequest) -> Reader:
    """Another user, or nobody's rights to write."""
    return Reader(request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others may read."""
    found = readable_folder()
    yield found
    remove(found)


@pytest.fixture
def bucket(seaweed: Seaweed) -> Iterator[str]:
    """Name of a new, empty bucket; it is gone after the test, so that the disk does not fill."""
    name = f"bucket-{next(_NUMBERS)}"
    weed.make_bucket(seaweed.server, seaweed.writer, name)
    yield name
    seaweed.server.client(seaweed.writer).delete_bucket(Bucket=name)


@pytest.fixture
def store(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty place of this test's own in a real object store, with keys that may write in the environment.

    Child processes find it, too: with `store.url` as [cache] archive and `store.endpoint` as [store] endpoint.
    """
    keys_in_environment(monkeypatch, seaweed.writer)
    yield (made := place(seaweed.endpoint_url, f"place-{next(_NUMBERS)}"))
    keys_in_environment(monkeypatch, seaweed.writer)
    made.remove([one.name for one in made.listing()])
