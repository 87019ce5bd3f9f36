"""A cache in which each command has something to tell, and what each one is asked for then."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pipeline_kit import Place, flat, key, write_keys
from runs_kit import DAYS

from ingest.demo.files.market import pack
from ingest.demo.servers import loopback

_ROWS = [(f"T{n:02}", str(n + 1)) for n in range(40)]
SPAN = ("--start", str(DAYS[0]), "--end", str(DAYS[-1]))

ASKED: dict[str, tuple[str, ...]] = {
    "adopt": ("theirs", "--dry-run"),
    "chain": ("SPY",),
    "export": ("T01", "--out", "out"),
    "lake drop": ("--yes",),
    "list": SPAN,
    "quarantine accept": (str(DAYS[2]),),
    "quarantine dismiss": (str(DAYS[2]),),
    "quarantine show": (str(DAYS[2]),),
    "run": SPAN,
    "show": ("T01", "--no-fetch", "--adjust", "none", "--no-plot", *SPAN),
    "sql": ("from stocks_day limit 2",),
}
"""What a command needs to answer there."""


@contextmanager
def used(folder: Path) -> Iterator[Place]:
    """The cache: findings, a correction, a refused file; another tool's folder, `theirs`, stands beside it."""
    with pytest.MonkeyPatch.context() as patch, loopback.serve({key(day): pack(flat(_ROWS)) for day in DAYS}) as server:
        write_keys(folder / "credentials")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        place = Place(folder / "cache", server.endpoint_url, iceberg=True)
        server.put(key(DAYS[0]), pack(flat([*_ROWS, _ROWS[-1]])))
        place.run(DAYS[0], DAYS[-1], tracked={"T01"})
        server.put(key(DAYS[1]), pack(flat([*_ROWS[:-1], ("T39", "7.5")])))
        server.put(key(DAYS[2]), pack(flat(_ROWS[5:])))
        place.run(DAYS[0], DAYS[-1], tracked={"T01"})
        (folder / "theirs" / "massive_cache").mkdir(parents=True)
        (folder / "theirs" / "massive_cache" / f"{DAYS[0]}.csv.gz").write_bytes(pack(flat(_ROWS)))
        yield place
