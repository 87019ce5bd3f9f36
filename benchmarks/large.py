"""`python -m benchmarks.large`: minute files split in chunks, compared with the floor, and one ticker read from twenty.

The floor is that of `benchmarks.floor` for the same files on all cores: each is decompressed as a whole, parsed as a
whole, and compressed again. The split goes through `prepare`, with all that a run does except the network and the
manifest: check, hash, cut, compress, index and make durable. Both are timed from within, without Python's startup;
rounds are interleaved, and medians reported. `--read` needs the extra `bench`, for DuckDB.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Sample, measure, python
from benchmarks.minutes import minute_file

if TYPE_CHECKING:
    from ingest.cache.cache import Layout

_SIDE_BY_SIDE = 4
_TRACKED = 53
_DAYS = 20
_FIRST = date(2025, 11, 3)
_MB = 1e6


def main() -> None:
    """Make the files, measure, print markdown."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    arguments.add_argument("--rows", type=int, nargs="+", default=[1_500_000, 12_000_000], help="rows of each file")
    arguments.add_argument("--repeats", type=int, default=5, help="rounds; the table shows medians")
    arguments.add_argument("--read", action="store_true", help="read instead of split")
    arguments.add_argument("--child", choices=["floor", "split"], help=argparse.SUPPRESS)
    arguments.add_argument("--files", type=Path, nargs="+", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.child:
        print({"floor": _floor, "split": _split}[chosen.child](chosen.files))
        return
    with tempfile.TemporaryDirectory(prefix="ingest-large-", dir=os.environ.get("TMPDIR")) as name:
        if chosen.read:
            print("\n".join(_read_table(Path(name), chosen.rows[0], chosen.repeats)))
        else:
            print("\n".join(_split_table(Path(name), chosen.rows, chosen.repeats)))


# Splitting


def _split_table(folder: Path, sizes: Sequence[int], repeats: int) -> list[str]:
    lines = [
        "| files | packed, each | text, each | floor | split | of the floor | peak memory: floor | split |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rows in sizes:
        text = minute_file(rows)
        path = folder / f"{rows}.csv.gz"
        path.write_bytes(_packed(text))
        for count in (1, _SIDE_BY_SIDE):
            floor, split = _rounds(path, count, repeats)
            walls = [statistics.median(float(one.output) for one in samples) for samples in (floor, split)]
            peaks = [max(one.rss_mb for one in samples) for samples in (floor, split)]
            lines.append(
                f"| {count} | {path.stat().st_size / _MB:.0f} MB, {rows:,} rows | {len(text) / _MB:.0f} MB "
                f"| {walls[0]:.2f} s | {walls[1]:.2f} s | {walls[0] / walls[1]:.2f} | {peaks[0]:.0f} MB "
                f"| {peaks[1]:.0f} MB |"
            )
    return lines


def _rounds(path: Path, count: int, repeats: int) -> tuple[list[Sample], list[Sample]]:
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    for _ in range(repeats):
        for kind, found in zip(("floor", "split"), samples, strict=True):
            files = [path] * count
            found.append(measure(python("benchmarks.large", "--child", kind, "--files", *files)))
    return samples


def _floor(files: Sequence[Path]) -> float:
    import polars  # noqa: F401 - the import is not part of the work
    from isal import igzip  # noqa: F401

    from benchmarks.floor import work

    return _timed(files, os.cpu_count() or 1, lambda number, path: work(path))


def _split(files: Sequence[Path]) -> float:
    from ingest.cache.manifest import Held
    from ingest.pipeline.task import Job
    from ingest.pipeline.worker import prepare
    from ingest.planning.plan import Decision
    from ingest.sources.base import Body

    tracked = frozenset(_names(files[0])[:: max(1, len(_names(files[0])) // _TRACKED)][:_TRACKED])

    def work(number: int, path: Path) -> object:
        layout = _layout(path.parent / f"cache{number}")
        layout.parts.create()
        decision = Decision(_FIRST, "fetch", "new", "listed", None, Held(), tracked, True)
        job = Job(decision, 0, layout.dataset, layout.parts, 1 << 40)
        return prepare(job, Body(b"", "etag", "", path=path))

    return _timed(files, (os.cpu_count() or 1) + 2, work)


def _layout(root: Path) -> "Layout":
    from ingest.cache.cache import Layout
    from ingest.market.catalogue import STOCKS_MINUTE
    from ingest.settings import Settings

    return Layout.of(Settings.model_validate({"cache": {"root": root}}), STOCKS_MINUTE)


def _timed(files: Sequence[Path], workers: int, work: Callable[[int, Path], object]) -> float:
    """Seconds that the work on all files takes in `workers` threads: as many as the floor has, or a run."""
    with ThreadPoolExecutor(workers) as pool:
        began = time.perf_counter()
        list(pool.map(work, range(len(files)), files))
        return time.perf_counter() - began


def _names(path: Path) -> list[str]:
    """Tickers in the first megabytes of a file."""
    from ingest.cache.parts import members

    with path.open("rb") as file:
        text = next(members.unpacked(file, 1 << 40, 8 << 20))
    return sorted({line.split(b",")[0].decode() for line in text.splitlines()[1:-1]})


def _packed(text: bytes) -> bytes:
    from isal import igzip

    return bytes(igzip.compress(text, 2, mtime=0))


# Reading


def _read_table(folder: Path, rows: int, repeats: int) -> list[str]:
    import duckdb

    from ingest.cache.manifest import Manifest
    from ingest.cache.parts.lines import dated_texts
    from ingest.market.catalogue import STOCKS_MINUTE

    layout = _layout(folder)
    ticker = _cache_of(folder, layout, rows)

    def ours() -> int:
        with Manifest.read(folder / "manifest.sqlite", STOCKS_MINUTE.name) as manifest:
            parts = manifest.sessions.parts(manifest.sessions.committed())
            return sum(text.count(b"\n") for _, text in dated_texts(layout.parts, parts, frozenset([ticker])))

    def theirs() -> int:
        paths = [f"{layout.parts.place('archive')}/*.csv.gz"]
        found = duckdb.execute("SELECT * FROM read_csv($p) WHERE ticker = $t", {"p": paths, "t": ticker})
        return len(found.fetchnumpy()["ticker"])

    lines = [f"| {_DAYS} days of {rows:,} rows: one ticker | median | spread | rows |", "|---|---|---|---|"]
    for name, ask, times in (("ours, through the index", ours, repeats), ("DuckDB", theirs, 1)):
        count, samples = ask(), []
        for _ in range(times):
            began = time.perf_counter()
            ask()
            samples.append((time.perf_counter() - began) * 1e3)
        middle = statistics.median(samples)
        lines.append(f"| {name} | {middle:.1f} ms | {min(samples):.1f} to {max(samples):.1f} | {count:,} |")
    return lines


def _cache_of(folder: Path, layout: "Layout", rows: int) -> str:
    """Fill a cache with the same file under many dates; returns a ticker in its middle."""
    from ingest.cache.cache import Cache
    from ingest.cache.commit import commit
    from ingest.cache.manifest import Held, Manifest
    from ingest.market.catalogue import STOCKS_MINUTE
    from ingest.pipeline.task import Job
    from ingest.pipeline.worker import prepare
    from ingest.planning.plan import Decision
    from ingest.sources.base import Body

    path = folder / "minutes.csv.gz"
    path.write_bytes(_packed(minute_file(rows)))
    layout.parts.create()
    with Manifest.open(folder / "manifest.sqlite", STOCKS_MINUTE.name) as manifest:
        cache = Cache.through(manifest, layout, manifest.runs.begin(_FIRST, _FIRST))
        number = manifest.tracked_sets.number(frozenset())
        for day in range(_DAYS):
            session = _FIRST + timedelta(days=day)
            decision = Decision(session, "fetch", "new", "listed", None, Held(), frozenset(), True)
            job = Job(decision, number, layout.dataset, layout.parts, 1 << 40)
            commit(cache, [prepare(job, Body(b"", "etag", "", path=path))])
    names = _names(path)
    return names[len(names) // 2]


if __name__ == "__main__":
    main()
