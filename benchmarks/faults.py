"""`python -m benchmarks.faults`: the main job against a source that fails one request in three, and a healthy one.

Whole processes with the default settings, with and without faults in turn; a seed, the key and its count decide the
fault, and no key fails more than three times. With `--silence` one of the faults is silence in the middle of a body,
with a read timeout of a second: by design each costs that timeout, which is 30 s by default.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.failing_server import FailingServer, Seen, failing_server
from benchmarks.measure import measure
from benchmarks.ours import command_with, finished
from benchmarks.stage import PROFILE, ROWS, last_sessions
from ingest.sources.resilient import UP_AGAIN

SILENCE_TIMEOUT_S = 1.0
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A run; without a seed it has no faults.

    `at_once` is the fewest and most downloads in flight in the middle of the run; `limits` says how often the limit on
    them fell, how often it recovered, and its lowest value.
    """

    seed: int | None
    wall_s: float
    cpu_s: float
    seen: Seen
    at_once: tuple[int, int]
    limits: tuple[int, int, int]
    waited_s: float
    tiers: str


def main() -> None:
    """Run, print markdown."""
    chosen = _arguments()
    days = last_sessions(chosen.sessions)
    with tempfile.TemporaryDirectory(prefix="ingest-bench-") as name, failing_server(days, ROWS) as server:
        runs = list(_runs(Path(name), server, days, chosen))
    print("\n".join(_report(runs, chosen)))


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    arguments.add_argument("--sessions", type=int, default=504)
    arguments.add_argument("--pairs", type=int, default=3)
    arguments.add_argument("--max-s", type=float, default=600, help="begin no other pair after so many seconds")
    arguments.add_argument("--silence", action="store_true", help="silence, too, and a read timeout of 1 s")
    return arguments.parse_args()


def _runs(folder: Path, server: FailingServer, days: Sequence[date], chosen: argparse.Namespace) -> Iterator[Run]:
    keys = folder / "credentials"
    keys.write_text(f"[{PROFILE}]\naws_access_key_id = KEY\naws_secret_access_key = any\n")
    began = time.monotonic()
    for pair in range(1, chosen.pairs + 1):
        if time.monotonic() - began > chosen.max_s:
            return
        for seed in (None, pair):
            run = _run(folder, server, days, seed, chosen.silence)
            print(
                f"pair {pair}, {'calm' if seed is None else 'struck'}: {run.wall_s:.2f} s", file=sys.stderr, flush=True
            )
            yield run


def _run(folder: Path, server: FailingServer, days: Sequence[date], seed: int | None, silence: bool) -> Run:
    cache = Path(tempfile.mkdtemp(dir=folder, prefix="cache-"))
    source = {"read_timeout_s": SILENCE_TIMEOUT_S} if silence else {}
    command = command_with(folder, cache, days, "--json", endpoint_url=server.endpoint_url, **source)
    server.begin(seed, silence)
    sample = measure(command, {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")})
    seen = server.end()
    if finished(sample)["committed"] != len(days):
        raise RuntimeError(f"all was to be committed: {finished(sample)}")
    events = list(map(json.loads, sample.output.splitlines()))
    return Run(
        seed,
        sample.wall_s,
        sample.cpu_s,
        seen,
        _at_once(events),
        _limits(events),
        sum(event["wait_s"] for event in events if event["kind"] == "retrying"),
        _digest(cache),
    )


def _at_once(events: Sequence[Event]) -> tuple[int, int]:
    """Fewest and most downloads in flight, without the first and the last tenth of the run."""
    steps = [{"fetch_started": 1, "fetched": -1, "failed": -1}.get(str(event["kind"]), 0) for event in events]
    levels = list(accumulate(steps))
    tenth = len(levels) // 10
    return min(levels[tenth:-tenth]), max(levels[tenth:-tenth])


def _limits(events: Sequence[Event]) -> tuple[int, int, int]:
    """How often the limit fell, how often it recovered, and its lowest value; all 0 if it never fell."""
    changes = [event for event in events if event["kind"] == "concurrency_changed"]
    ups = [event for event in changes if event["cause"] == UP_AGAIN]
    return len(changes) - len(ups), len(ups), min((int(event["limit"]) for event in changes), default=0)


def _digest(cache: Path) -> str:
    """Hash every file of both tiers, by name and bytes, and empty the files so that the disk does not fill."""
    digest = hashlib.sha256()
    for tier in ("data_cache", "massive_cache"):
        for path in sorted((cache / tier).rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(cache)}\n".encode() + path.read_bytes())
                path.write_bytes(b"")
    return digest.hexdigest()


def _report(runs: Sequence[Run], chosen: argparse.Namespace) -> Iterator[str]:
    calm, struck = [run for run in runs if run.seed is None], [run for run in runs if run.seed is not None]
    settings = f"read_timeout_s = {SILENCE_TIMEOUT_S:g}, else the defaults" if chosen.silence else "default settings"
    yield f"{chosen.sessions} sessions of {ROWS:,} rows, {len(struck)} interleaved pairs, {settings}\n"
    yield "| run | wall s | CPU s | requests | struck | waits s | at once | limit: lowest, down, up | tiers equal |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---|"
    for run in runs:
        name = "calm" if run.seed is None else f"struck, seed {run.seed}"
        struck_count = sum(run.seen.struck.values())
        down, up, lowest = run.limits
        same = "yes" if run.tiers == calm[0].tiers else "NO"
        yield (
            f"| {name} | {run.wall_s:.2f} | {run.cpu_s:.2f} | {run.seen.requests:,} | {struck_count} | "
            f"{run.waited_s:.1f} | {run.at_once[0]} to {run.at_once[1]} | {lowest or '-'}, {down} ×, {up} × | {same} |"
        )
    ratios = [bad.wall_s / good.wall_s for good, bad in zip(calm, struck, strict=False)]
    yield (
        f"\nRatio of medians {median(run.wall_s for run in struck) / median(run.wall_s for run in calm):.2f} × "
        f"(pairs: {', '.join(f'{ratio:.2f}' for ratio in ratios)}).\n"
    )
    yield "| struck with | times |"
    yield "|---|---:|"
    for name in struck[0].seen.struck:
        yield f"| {name} | {sum(run.seen.struck[name] for run in struck)} |"


if __name__ == "__main__":
    main()
