"""A run with nothing to do: what it costs, what it imports, and where its time goes."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.measure import CHECKOUT, clean_environment, measure
from benchmarks.ours import command_for
from benchmarks.stage import Bench

HEAVY = ("polars", "pandas", "numpy", "exchange_calendars", "yfinance", "rich", "pydantic", "aioboto3")


@dataclass(frozen=True, slots=True)
class Idle:
    """Medians, in seconds; `events` has the time of each kind of event since the start of the process."""

    wall_s: float
    cpu_s: float
    rss_mb: float
    python_s: float
    started_s: float
    planned_s: float
    finished_s: float
    requests: int
    imported: tuple[str, ...]
    slowest_imports: tuple[tuple[str, float], ...]


def idle(bench: Bench, cache: Path, days: Sequence[date], repeats: int) -> Idle:
    """Measure second runs over a complete cache."""
    keys = {"AWS_SHARED_CREDENTIALS_FILE": str(bench.keys)}
    quiet = command_for(bench, cache, days, "--quiet")
    spoken = command_for(bench, cache, days, "--json")
    samples, bare, moments = [], [], []
    for _ in range(repeats):
        samples.append(measure(quiet, keys))
        bare.append(measure([sys.executable, "-c", "pass"]).wall_s)
        moments.append(_moments(spoken, keys))
    imported, slowest = _imports(spoken, keys)
    return Idle(
        wall_s=median(sample.wall_s for sample in samples),
        cpu_s=median(sample.cpu_s for sample in samples),
        rss_mb=median(sample.rss_mb for sample in samples),
        python_s=median(bare),
        started_s=median(times["run_started"] for times, _ in moments),
        planned_s=median(times["planned"] for times, _ in moments),
        finished_s=median(times["finished"] for times, _ in moments),
        requests=max(requests for _, requests in moments),
        imported=imported,
        slowest_imports=slowest,
    )


def _moments(command: Sequence[str], keys: dict[str, str]) -> tuple[dict[str, float], int]:
    """When each kind of event first came, and how many requests the run sent."""
    started = time.perf_counter()
    times: dict[str, float] = {}
    event: dict[str, object] = {}
    environment = {**clean_environment(), **keys, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            event = json.loads(line)
            times.setdefault(str(event["kind"]), time.perf_counter() - started)
    if event.get("fetched") != 0:
        raise RuntimeError(f"the run was to have nothing to do: {event}")
    return times, int(str(event["requests"]))


def _imports(command: Sequence[str], keys: dict[str, str]) -> tuple[tuple[str, ...], tuple[tuple[str, float], ...]]:
    """Which heavy packages were imported, and how long each package's own modules took."""
    environment = {**os.environ, **keys, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True)
    own: dict[str, float] = {}
    for micros, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", done.stderr):
        package = name.partition(".")[0]
        own[package] = own.get(package, 0) + int(micros) / 1e6
    slowest = sorted(own.items(), key=lambda entry: -entry[1])
    return tuple(name for name in HEAVY if name in own), (("all", sum(own.values())), *slowest[:9])
