"""The floor: only the work that no contender can avoid.

Each local file is read, decompressed (isal), parsed (polars, full schema) and its text compressed again (isal, level
1). There is no network, no split, no file written. There is one worker per core, a thread or a process.
"""

import argparse
import os
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.measure import Sample, measure, python
from benchmarks.schema import SCHEMA


def floor(files: Path, days: Iterable[str], kind: str) -> Sample:
    """Measure the floor over the files of some days; `kind` is `threads` or `processes`."""
    # Threads share polars' pool, one thread per core. A process has one core, and so needs one thread.
    polars_threads = str(os.cpu_count() or 1) if kind == "threads" else "1"
    environment = {"POLARS_MAX_THREADS": polars_threads, "OPENBLAS_NUM_THREADS": "1"}
    return measure(python("benchmarks.floor", files, kind, *days), environment)


def work(path: Path) -> int:
    """One file; returns its rows."""
    import polars as pl
    from isal import igzip, igzip_lib

    text = igzip.decompress(path.read_bytes())
    rows = pl.read_csv(text, schema={name: getattr(pl, kind) for name, kind in SCHEMA.items()}).height
    igzip_lib.compress(text, 1, igzip_lib.COMP_GZIP)
    return rows


def _pool(kind: str) -> Executor:
    workers = os.cpu_count() or 1
    if kind == "threads":
        return ThreadPoolExecutor(workers)
    return ProcessPoolExecutor(workers, mp_context=get_context("fork"))  # nothing heavy is imported before it


def main() -> None:
    """Work through the files and print how many rows they have."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("files", type=Path)
    arguments.add_argument("kind", choices=["threads", "processes"])
    arguments.add_argument("days", nargs="+")
    chosen = arguments.parse_args()
    with _pool(chosen.kind) as pool:
        paths = [chosen.files / f"{day}.csv.gz" for day in chosen.days]
        print(sum(pool.map(work, paths, chunksize=4)))


if __name__ == "__main__":
    main()
