"""The stage of all contenders: one bucket in SeaweedFS on loopback, keys for it, and temporary folders."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from ingest.demo.files import market
from ingest.demo.servers import seaweed
from ingest.market import calendars
from ingest.market.catalogue import STOCKS_DAY

TRACKED = tuple(sorted(market.KNOWN_PRICES)[:53])
"""53 tickers, each in every file."""

ROWS = 9_700
PROFILE = "massive"


@dataclass(frozen=True, slots=True)
class Bench:
    """The bucket and its folders: `put` fills them, the contenders read."""

    server: seaweed.Server
    admin: seaweed.Identity
    market: market.Market
    folder: Path

    @property
    def keys(self) -> Path:
        """The credentials file, with the profile that `ingest` uses."""
        return self.folder / "credentials"

    @property
    def tickers(self) -> Path:
        """File that lists the tracked tickers."""
        return self.folder / "tickers.txt"

    @property
    def files(self) -> Path:
        """Folder with a local copy of each object in the bucket, for measurements without the network."""
        return self.folder / "files"

    def put(self, days: Sequence[date]) -> int:
        """Store the files of sessions in the bucket, and a copy of each in `files`; returns their bytes."""
        total = 0

        def objects() -> Iterator[tuple[str, bytes]]:
            nonlocal total
            for key, body in self.market.objects(days):
                (self.files / key.rsplit("/", 1)[1]).write_bytes(body)
                total += len(body)
                yield key, body

        seaweed.fill(self.server, self.admin, objects())
        return total

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """An empty folder, on the same disk as all others.

        Afterwards its files are truncated, but stay until the end: ext4 without a journal is slow to create files
        after many were removed, for some minutes, and the next contender would pay for that.
        """
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix="cache-"))
        yield folder
        for path in folder.rglob("*"):
            if path.is_file():
                os.truncate(path, 0)


@contextmanager
def set_up() -> Iterator[Bench]:
    """Start the server; at the end of the block stop it and remove all files."""
    with tempfile.TemporaryDirectory(prefix="ingest-bench-") as name:
        folder = Path(name)
        (folder / "files").mkdir()
        admin = seaweed.identity("bench", "Admin")
        with seaweed.serve(folder / "seaweed", [admin]) as server:
            bench = Bench(server, admin, market.Market(rows=ROWS), folder)
            bench.keys.touch(mode=0o600)
            bench.keys.write_text(
                f"[{PROFILE}]\naws_access_key_id = {admin.access_key}\naws_secret_access_key = {admin.secret_key}\n"
            )
            bench.tickers.write_text("\n".join(TRACKED) + "\n")
            yield bench


def last_sessions(count: int) -> list[date]:
    """The newest sessions before today, ascending."""
    last = calendars.today() - timedelta(days=1)
    found = calendars.Calendar.of(STOCKS_DAY.calendar).between(STOCKS_DAY.first_session, last)
    if len(found) < count:
        raise SystemExit(f"there are only {len(found)} sessions up to {last}")
    return list(found[-count:])


def program(name: str) -> str:
    """Path of a tool's program: beside this Python, else on PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=places)
    if found is None:
        raise SystemExit(f"{name} is not installed: pip install -e .[bench]")
    return found
