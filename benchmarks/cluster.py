"""`python -m benchmarks.cluster`: runs whose sessions are split by Dask's workers, beside runs of one process.

Scheduler and workers are real processes on this machine, started before and warm: a first round is not counted. CPU
times are of all processes, the idle ones as well. What workers gain is measured against a source that is slow: a proxy
gives each connection so many bytes a second. Rounds are interleaved, tables show medians.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from benchmarks.latency_proxy import proxied
from benchmarks.measure import Sample, clean_environment, measure
from benchmarks.ours import command_with, finished
from benchmarks.report import machine
from benchmarks.stage import TRACKED, Bench, last_sessions, set_up
from ingest.demo.files.files import files_of
from ingest.demo.servers import cluster, seaweed
from ingest.market import calendars
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE
from ingest.market.datasets import Dataset

SECTIONS = ("days", "minutes", "lines")
SPEEDS = (1.25e6, 5e6)
MINUTE_FILES = 6
SLOW_FILES, SLOW_TICKERS = 12, 4_000
"""Files of some 12 MB: each is a task of its own, downloaded by four connections."""

_LOCAL = "one process"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a run: wall time, and CPU time of its own process and of the cluster's, in seconds."""

    wall_s: float
    own_s: float
    cluster_s: float

    @property
    def cpu_s(self) -> float:
        """Of all processes."""
        return self.own_s + self.cluster_s


@dataclass(frozen=True, slots=True)
class Work:
    """The same run, by any engine: the files of some sessions, of which some tickers are tracked."""

    bench: Bench
    dataset: Dataset
    days: Sequence[date]
    tickers: Sequence[str]

    def run(self, engine: str, endpoint_url: str = "", clusters: Sequence[cluster.Cluster] = ()) -> Cost:
        """A first run into an empty cache. Raises RuntimeError if it did not fetch all sessions."""
        flags = ("--dataset", self.dataset.short, "--yes", "--json", "--engine", engine)
        with self.bench.fresh() as cache:
            command = command_with(
                self.bench.folder, cache, self.days, *flags, tickers=self.tickers,
                endpoint_url=endpoint_url or self.bench.server.endpoint_url,
            )  # fmt: skip
            before = _spent(clusters)
            sample = measure(command, _keys(self.bench))
            spent = _spent(clusters) - before
        _check(sample, len(self.days))
        return Cost(sample.wall_s, sample.cpu_s, spent)


def main() -> None:
    """Fill buckets, start clusters, measure, print markdown."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    arguments.add_argument("--sessions", type=int, default=504, help="day files")
    arguments.add_argument("--repeats", type=int, default=5, help="rounds; the tables show medians")
    arguments.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="NAME", help="%(choices)s")
    chosen = arguments.parse_args()
    if {"days", "minutes"} & set(chosen.only):
        print("\n".join(_by_two(chosen)), flush=True)
    if "lines" in chosen.only:
        print("\n".join(_lines(chosen.repeats)), flush=True)
    print("Measured on: " + ", ".join(f"{name} {value}" for name, value in machine().items()) + ".")


# Two workers beside one process


def _by_two(chosen: argparse.Namespace) -> Iterator[str]:
    yield "| a first run | wall s | CPU s of all processes | of the coordinator | CPU: of a local run |"
    yield "|---|---:|---:|---:|---:|"
    with set_up() as bench, _workers(bench, 2) as two:
        if "days" in chosen.only:
            days = last_sessions(chosen.sessions)
            bench.put(days)
            work = Work(bench, STOCKS_DAY, days, TRACKED)
            yield from _compared(f"{len(days)} day files", work, two, chosen.repeats)
        if "minutes" in chosen.only:
            work = _minutes(bench, MINUTE_FILES, None)
            yield from _compared(f"{len(work.days)} minute files", work, two, chosen.repeats)
    yield ""


def _compared(what: str, work: Work, two: cluster.Cluster, repeats: int) -> Iterator[str]:
    engines = {_LOCAL: "local", "two Dask workers": two.engine}
    samples: dict[str, list[Cost]] = {name: [] for name in engines}
    for number in range(repeats + 1):
        for name, engine in engines.items():
            cost = work.run(engine, clusters=(two,) if name != _LOCAL else ())
            _say(f"{what}, {name}: {cost.wall_s:.2f} s, {cost.own_s:.2f} + {cost.cluster_s:.2f} s of CPU")
            if number:
                samples[name].append(cost)
    local = median(one.cpu_s for one in samples[_LOCAL])
    for name, costs in samples.items():
        wall, cpu, own = (median(getattr(one, figure) for one in costs) for figure in ("wall_s", "cpu_s", "own_s"))
        yield f"| {what}, {name} | {wall:.2f} | {cpu:.2f} | {own:.2f} | {cpu / local:.2f} × |"


# A slow source


def _lines(repeats: int) -> Iterator[str]:
    with set_up() as bench, ExitStack() as stack:
        work = _minutes(bench, SLOW_FILES, SLOW_TICKERS)
        clusters = {count: stack.enter_context(_workers(bench, count)) for count in (1, 4)}
        slow = {speed: stack.enter_context(proxied(bench.server.endpoint_url, 0, speed)) for speed in SPEEDS}
        engines = {
            _LOCAL: "local",
            "one worker": clusters[1].engine,
            "four workers": clusters[4].engine,
        }
        samples: dict[tuple[float, str], list[float]] = {}
        for number in range(repeats + 1):
            for speed, proxy in slow.items():
                for name, engine in engines.items():
                    cost = work.run(engine, proxy.endpoint_url)
                    _say(f"{speed / 1e6:g} MB/s, {name}: {cost.wall_s:.2f} s")
                    if number:
                        samples.setdefault((speed, name), []).append(cost.wall_s)
    yield from _of_lines(samples, len(work.days))


def _of_lines(samples: Mapping[tuple[float, str], Sequence[float]], count: int) -> Iterator[str]:
    yield f"| {count} files, each of four connections | wall s | faster than one worker |"
    yield "|---|---:|---:|"
    for (speed, name), walls in samples.items():
        ratio = median(samples[speed, "one worker"]) / median(walls)
        yield f"| {speed / 1e6:g} MB/s a connection, {name} | {median(walls):.2f} | {ratio:.2f} × |"
    yield ""


def _minutes(bench: Bench, count: int, tickers: int | None) -> Work:
    files, last = files_of(STOCKS_MINUTE, tickers), calendars.today() - timedelta(days=1)
    days = calendars.Calendar.of(STOCKS_MINUTE.calendar).between(STOCKS_MINUTE.first_session, last)[-count:]
    seaweed.fill(bench.server, bench.admin, files.objects(days))
    return Work(bench, STOCKS_MINUTE, days, files.always(days[-1]))


@contextmanager
def _workers(bench: Bench, count: int) -> Iterator[cluster.Cluster]:
    folder = Path(bench.folder) / f"cluster-{count}"
    with cluster.serve(folder, count, {**clean_environment(), **_keys(bench)}) as running:
        yield running


def _keys(bench: Bench) -> dict[str, str]:
    return {"AWS_SHARED_CREDENTIALS_FILE": str(bench.keys)}


def _spent(clusters: Sequence[cluster.Cluster]) -> float:
    """Seconds of CPU that these clusters' processes have used so far."""
    return sum(_of_process(one.pid) for some in clusters for one in (some.scheduler, *some.workers))


def _of_process(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _check(sample: Sample, count: int) -> None:
    if finished(sample)["committed"] != count:
        raise RuntimeError(f"{count} sessions were to be committed: {finished(sample)}")


def _say(text: str) -> None:
    """Print progress, apart from the report."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
