"""`python -m benchmarks.pairs --base DIR`: the main job's CPU time in this checkout, compared with another one.

Whole processes with the default settings against one server on loopback, each checkout with the Python of its own
.venv. A pair is a run of each in succession, and the order alternates, so that other load on the machine affects both
alike. A first pair, which is not counted, compiles the bytecode of both.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.failing_server import failing_server
from benchmarks.measure import CHECKOUT, Sample, measure
from benchmarks.ours import command_with, finished
from benchmarks.stage import PROFILE, ROWS, last_sessions


@dataclass(frozen=True, slots=True)
class Pair:
    """A run of each checkout."""

    base: Sample
    ours: Sample

    @property
    def ratio(self) -> float:
        """Our CPU time as a multiple of the base's."""
        return self.ours.cpu_s / self.base.cpu_s


def main() -> None:
    """Run, print markdown."""
    chosen = _arguments()
    days = last_sessions(chosen.sessions)
    with tempfile.TemporaryDirectory(prefix="ingest-bench-") as name, failing_server(days, ROWS) as server:
        folder = Path(name)
        keys = folder / "credentials"
        keys.write_text(f"[{PROFILE}]\naws_access_key_id = KEY\naws_secret_access_key = any\n")
        pairs = list(_pairs(folder, server.endpoint_url, days, chosen))
    print("\n".join(_report(pairs, chosen)))


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.pairs", description=__doc__)
    arguments.add_argument("--base", type=Path, required=True, help="the other checkout, with its .venv")
    arguments.add_argument("--pairs", type=int, default=10)
    arguments.add_argument("--sessions", type=int, default=504)
    chosen = arguments.parse_args()
    if not _python_of(chosen.base).exists():
        arguments.error(f"{chosen.base} has no .venv/bin/python")
    if chosen.pairs < 1:
        arguments.error("at least one pair")
    return chosen


def _python_of(checkout: Path) -> Path:
    return checkout.absolute() / ".venv" / "bin" / "python"


def _pairs(folder: Path, endpoint_url: str, days: Sequence[date], chosen: argparse.Namespace) -> Iterator[Pair]:
    checkouts = {"base": (chosen.base.absolute(), _python_of(chosen.base)), "ours": (CHECKOUT, Path(sys.executable))}
    for number in range(chosen.pairs + 1):
        order = sorted(checkouts, reverse=bool(number % 2))
        pair = Pair(**{name: _run(folder, endpoint_url, days, *checkouts[name]) for name in order})
        said = f"pair {number}: {pair.base.cpu_s:.2f} s, {pair.ours.cpu_s:.2f} s, {pair.ratio:.3f} ×"
        print(said if number else f"{said}, not counted", file=sys.stderr, flush=True)
        if number:
            yield pair


def _run(folder: Path, endpoint_url: str, days: Sequence[date], checkout: Path, python: Path) -> Sample:
    cache = Path(tempfile.mkdtemp(dir=folder, prefix="cache-"))
    _, *arguments = command_with(folder, cache, days, "--json", endpoint_url=endpoint_url)
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")}
    sample = measure([str(python), *arguments], environment, checkout)
    if finished(sample)["committed"] != len(days):
        raise RuntimeError(f"all was to be committed: {finished(sample)}")
    for path in cache.rglob("*"):  # emptied, not removed: see `Bench.fresh`
        if path.is_file():
            os.truncate(path, 0)
    return sample


def _report(pairs: Sequence[Pair], chosen: argparse.Namespace) -> Iterator[str]:
    yield f"{chosen.sessions} sessions of {ROWS:,} rows, {len(pairs)} interleaved pairs, default settings\n"
    yield "| checkout | CPU s, median | CPU s, least to most | wall s, median | peak MB, median |"
    yield "|---|---:|---:|---:|---:|"
    yield _row(f"base, {_commit(chosen.base)}", [pair.base for pair in pairs])
    yield _row(f"this one, {_commit(CHECKOUT)}", [pair.ours for pair in pairs])
    of_medians = median(pair.ours.cpu_s for pair in pairs) / median(pair.base.cpu_s for pair in pairs)
    ratios = sorted(pair.ratio for pair in pairs)
    yield (
        f"\nCPU time, this one to base: {of_medians:.3f} × of the medians; "
        f"the pairs' own ratios: median {median(ratios):.3f} ×, {ratios[0]:.3f} to {ratios[-1]:.3f} ×."
    )


def _row(name: str, samples: Sequence[Sample]) -> str:
    cpu = sorted(sample.cpu_s for sample in samples)
    wall, peak = median(sample.wall_s for sample in samples), median(sample.rss_mb for sample in samples)
    return f"| {name} | {median(cpu):.2f} | {cpu[0]:.2f} to {cpu[-1]:.2f} | {wall:.2f} | {peak:.0f} |"


def _commit(checkout: Path) -> str:
    """The commit that is checked out, with a plus sign if files differ from it."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--exclude=*", "--dirty=+"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no commit"


if __name__ == "__main__":
    main()
