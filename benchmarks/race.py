"""The contenders side by side: round robin on the same files, a fresh folder for each."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.boto3_pandas import boto3_pandas
from benchmarks.floor import floor
from benchmarks.measure import Sample
from benchmarks.ours import ingest
from benchmarks.schema import SCHEMA
from benchmarks.scripts import SCRIPTS, packed_rows, script_rows
from benchmarks.stage import Bench
from ingest.market.catalogue import STOCKS_DAY

Samples = dict[str, list[Sample]]

SLOW_DAYS = 20
"""Days for boto3 + pandas; more would only take longer to show the same."""


class Race:
    """All results of a race: their cost, and what else is known about them."""

    def __init__(self, bench: Bench, days: Sequence[date]) -> None:
        self.bench, self.days = bench, days
        self.samples: Samples = {}
        self.scaled: list[float] = []
        self.rows: dict[str, tuple[int, int]] = {}

    def run(self, names: Sequence[str], repeats: int, say: Callable[[str], None]) -> None:
        """Let each contender run once a round."""
        for number in range(repeats):
            for name in names:
                with self.bench.fresh() as cache:
                    sample = CONTENDERS[name](self, cache)
                self.samples.setdefault(name, []).append(sample)
                say(f"round {number + 1}: {name} {sample.wall_s:.2f} s")

    def _ours(self, cache: Path) -> Sample:
        sample = ingest(self.bench, cache, self.days)
        self._count("ours", cache, lambda: _ours_rows(cache))
        return sample

    def _floor(self, kind: str) -> Sample:
        return floor(self.bench.files, [day.isoformat() for day in self.days], kind)

    def _script(self, name: str, cache: Path) -> Sample:
        sample = SCRIPTS[name].measured(self.bench, cache, STOCKS_DAY, self.bench.tickers, [*SCHEMA])
        self._count(name, cache, lambda: script_rows(cache))
        return sample

    def _boto3(self, cache: Path) -> Sample:
        bench, days = self.bench, self.days[-SLOW_DAYS:]
        sample, loop_s = boto3_pandas(
            bench.server.endpoint_url, bench.server.bucket, bench.keys, bench.tickers, cache, days
        )
        self.scaled.append(sample.wall_s + loop_s * (len(self.days) / len(days) - 1))
        return sample

    def _count(self, name: str, cache: Path, count: Callable[[], tuple[int, int]]) -> None:
        if name not in self.rows:
            self.rows[name] = count()


CONTENDERS: Mapping[str, Callable[[Race, Path], Sample]] = {
    "ours": lambda race, cache: race._ours(cache),
    "floor-threads": lambda race, _: race._floor("threads"),
    "floor-processes": lambda race, _: race._floor("processes"),
    "s5cmd": lambda race, cache: race._script("s5cmd", cache),
    "s5cmd-threads": lambda race, cache: race._script("s5cmd-threads", cache),
    "s5cmd-sink": lambda race, cache: race._script("s5cmd-sink", cache),
    "rclone-duckdb": lambda race, cache: race._script("rclone-duckdb", cache),
    "boto3": lambda race, cache: race._boto3(cache),
}


def medians(samples: Sequence[Sample]) -> Sample:
    """One sample with the median of each figure."""
    figures = [[getattr(sample, name) for sample in samples] for name in ("wall_s", "cpu_s", "rss_mb", "tree_mb")]
    return Sample(*(median(values) for values in figures), output="")


def _ours_rows(cache: Path) -> tuple[int, int]:
    """Rows of the tracked parts and of the archive parts."""
    tracked, archive = cache / "data_cache" / "sessions", cache / "massive_cache"
    return packed_rows(tracked.glob("*.csv.gz")), packed_rows(archive.glob("*.csv.gz"))
