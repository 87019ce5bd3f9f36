"""`python -m benchmarks.datasets`: the same job for other datasets, compared with scripts of other tools.

For each dataset a bucket is filled with files of the vendor's size, and each contender in turn downloads and splits
them all into an empty folder: 50 tracked tickers, the rest archived. Reported, never asserted.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from benchmarks.measure import Sample, measure
from benchmarks.ours import command_with
from benchmarks.race import medians
from benchmarks.report import machine
from benchmarks.scripts import SCRIPTS, csv_rows, packed_rows, script_rows
from benchmarks.stage import Bench, set_up
from ingest.demo.files.files import Files, files_of
from ingest.demo.servers import seaweed
from ingest.market import calendars as sessions
from ingest.market.catalogue import CATALOGUE, named
from ingest.market.datasets import Dataset

SESSIONS = {
    "options-day": 60,
    "indices-day": 250,
    "forex-day": 500,
    "crypto-day": 700,
    "futures-cme-day": 500,
    "stocks-minute": 6,
    "options-minute": 6,
}
"""Sessions of each dataset; five for those not named here."""

QUICK = 20
"""`--quick` uses one session in so many, but at least two."""

TRACKED = 50


@dataclass(frozen=True, slots=True)
class Job:
    """A dataset's files in the bucket, and the tickers to track."""

    dataset: Dataset
    days: Sequence[date]
    bytes: int
    tickers: Path
    columns: Sequence[str]


@dataclass(slots=True)
class Outcome:
    """The cost of a dataset's contenders; `rows` counts those of the tracked files and of the archive."""

    sessions: int
    bytes: int
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)


def main() -> None:
    """Fill, measure, report."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.datasets", description=__doc__)
    arguments.add_argument("--only", nargs="+", type=named, metavar="NAME", help="these datasets, by their short names")
    arguments.add_argument("--beside", nargs="+", choices=SCRIPTS, metavar="SCRIPT", help="these scripts, not all")
    arguments.add_argument("--repeats", type=int, default=5, help="rounds; the tables show medians")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write every sample there, too")
    arguments.add_argument("--quick", action="store_true", help="a twentieth of the sessions, one round: a try")
    chosen = arguments.parse_args()
    beside = ["ours", *(chosen.beside or [name for name in CONTENDERS if name != "ours"])]
    found: dict[str, Outcome] = {}
    for dataset in chosen.only or [CATALOGUE[name] for name in SESSIONS]:
        count = SESSIONS.get(dataset.short, 5)
        with set_up() as bench:  # one bucket per dataset, so that the disk need not hold all
            job = _filled(bench, dataset, max(2, count // QUICK) if chosen.quick else count)
            found[dataset.short] = _race(bench, job, beside, 1 if chosen.quick else chosen.repeats)
    print("\n".join(_report(found, beside)))
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"machine": machine(), **{n: asdict(one) for n, one in found.items()}}, indent=1)
        )


def _filled(bench: Bench, dataset: Dataset, count: int) -> Job:
    files, last = files_of(dataset), sessions.today() - timedelta(days=1)
    days = sessions.Calendar.of(dataset.calendar).between(dataset.first_session, last)[-count:]
    _say(f"{dataset.short}: filling the bucket with {count} sessions")
    total = 0

    def objects() -> Iterator[tuple[str, bytes]]:
        nonlocal total
        for key, body in files.objects(days):
            total += len(body)
            yield key, body

    seaweed.fill(bench.server, bench.admin, objects())
    tickers = bench.folder / f"{dataset.short}.txt"
    tickers.write_text("\n".join(_tracked(files, days[-1])) + "\n")
    return Job(dataset, days, total, tickers, files.columns)


def _tracked(files: Files, last: date) -> Sequence[str]:
    """Some tickers that are in every file, and others spread over the newest one."""
    names = files.maker.bars(last)["ticker"].to_list()
    return list(dict.fromkeys([*files.always(last), *names[:: max(1, len(names) // TRACKED)]]))[:TRACKED]


def _race(bench: Bench, job: Job, names: Sequence[str], repeats: int) -> Outcome:
    """Each contender once a round."""
    outcome = Outcome(len(job.days), job.bytes)
    for number in range(repeats):
        for name in names:
            with bench.fresh() as cache:
                sample = CONTENDERS[name](bench, job, cache)
                outcome.rows.setdefault(name, _rows(job.dataset, cache, name))
            outcome.samples.setdefault(name, []).append(sample)
            _say(f"{job.dataset.short}, round {number + 1}: {name} {sample.wall_s:.2f} s")
    return outcome


def _ours(bench: Bench, job: Job, cache: Path) -> Sample:
    flags = ("--dataset", job.dataset.short, "--tickers", str(job.tickers), "--yes", "--quiet")
    command = command_with(bench.folder, cache, job.days, *flags, tickers=(), endpoint_url=bench.server.endpoint_url)
    return measure(command, {"AWS_SHARED_CREDENTIALS_FILE": str(bench.keys)})


def _script(name: str, bench: Bench, job: Job, cache: Path) -> Sample:
    return SCRIPTS[name].measured(bench, cache, job.dataset, job.tickers, job.columns)


CONTENDERS: Mapping[str, Callable[[Bench, Job, Path], Sample]] = {
    "ours": _ours,
    **{name: partial(_script, name) for name in ("s5cmd", "s5cmd-sink", "s5cmd-duckdb", "rclone-duckdb")},
}


def _rows(dataset: Dataset, cache: Path, name: str) -> tuple[int, int]:
    """Rows of the tracked tickers' files and of the archive."""
    if name != "ours":
        return script_rows(cache)
    tracked, archive = dataset.folder(cache / "data_cache"), dataset.folder(cache / "massive_cache")
    return csv_rows(tracked.rglob("*.csv")), packed_rows(archive.glob("*.csv.gz"))


def _report(found: Mapping[str, Outcome], names: Sequence[str]) -> Iterator[str]:
    titles = [f"{SCRIPTS[name].title}, s" for name in names if name != "ours"]
    yield f"| dataset | sessions | MB | `ingest run` s | {' | '.join(titles)} | peak MB of each |"
    yield "|---" * (len(titles) + 5) + "|"
    for name, one in found.items():
        middle = {contender: medians(samples) for contender, samples in one.samples.items()}
        ours = middle["ours"].wall_s
        times = [
            f"{sample.wall_s:.2f} ({sample.wall_s / ours:.2f} ×)" for key, sample in middle.items() if key != "ours"
        ]
        memory = ", ".join(f"{sample.tree_mb:.0f}" for sample in middle.values())
        yield f"| {name} | {one.sessions} | {one.bytes / 1e6:.1f} | {ours:.2f} | {' | '.join(times)} | {memory} |"
    yield ""
    yield from _differences(found)
    yield "In brackets: how many times as long as ours. Peak memory with all children. Measured on: " + ", ".join(
        f"{name} {value}" for name, value in machine().items()
    )


def _differences(found: Mapping[str, Outcome]) -> Iterator[str]:
    """Contenders whose rows differ from ours: of repeated rows, our CSVs have only the first."""
    for name, one in found.items():
        for contender, rows in one.rows.items():
            if rows != one.rows["ours"]:
                yield f"{name}: rows tracked and archived are {one.rows['ours']} with ours, {rows} with {contender}."


def _say(text: str) -> None:
    """Print progress, apart from the report."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
