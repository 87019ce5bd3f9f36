"""The scripts of other tools, and how they are started and their rows counted."""

import csv
import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.downloads import environment, rclone, s5cmd
from benchmarks.measure import Sample, measure, python
from benchmarks.stage import Bench
from ingest.market.datasets import Dataset


@dataclass(frozen=True, slots=True)
class Script:
    """A script, named for the reports, with the command that downloads for it and its own flags."""

    title: str
    module: str
    download: Callable[[Bench, str], list[str]] = s5cmd
    flags: Sequence[str] = ()

    def measured(self, bench: Bench, cache: Path, dataset: Dataset, tickers: Path, columns: Sequence[str]) -> Sample:
        """Measure it over all files of a dataset in the bucket, into an empty folder."""
        kind = ("--minutes",) if dataset.kind.timed else ()
        told = ("--columns", ",".join(columns), "--sigil", dataset.sigil, *kind, *self.flags)
        command = python(self.module, cache, tickers, *told, "--", *self.download(bench, dataset.prefix))
        return measure(command, environment(bench))


SCRIPTS: Mapping[str, Script] = {
    "s5cmd": Script("s5cmd, then polars", "benchmarks.s5cmd_polars"),
    "s5cmd-threads": Script("s5cmd, then polars in threads", "benchmarks.s5cmd_polars", flags=("--threads",)),
    "s5cmd-sink": Script("s5cmd, then one lazy polars query", "benchmarks.s5cmd_sink"),
    "s5cmd-duckdb": Script("s5cmd, then DuckDB", "benchmarks.s5cmd_duckdb"),
    "rclone-duckdb": Script("rclone, then DuckDB's partitions", "benchmarks.rclone_duckdb", rclone),
}


def script_rows(cache: Path) -> tuple[int, int]:
    """Rows of the tracked tickers' CSVs and of the archive that a script wrote."""
    return csv_rows((cache / "tracked").rglob("*.csv")), packed_rows((cache / "archive").rglob("*.csv.gz"))


def csv_rows(paths: Iterable[Path]) -> int:
    """Rows below the headers of CSVs."""
    rows = 0
    for path in paths:
        with path.open(newline="") as file:
            rows += sum(1 for _ in csv.reader(file)) - 1
    return rows


def packed_rows(paths: Iterable[Path]) -> int:
    """Rows below the headers of compressed files."""
    return sum(gzip.decompress(path.read_bytes()).count(b"\n") - 1 for path in paths)
