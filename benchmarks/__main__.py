"""`python -m benchmarks`: fill a server, run the requested measurements, print markdown."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from benchmarks import growth
from benchmarks.idle import idle
from benchmarks.ours import ingest
from benchmarks.race import CONTENDERS, Race
from benchmarks.report import Results, machine, markdown
from benchmarks.stage import Bench, last_sessions, set_up

SECTIONS = ("idle", "latency", "one-new", "memory")


def main() -> None:
    """Parse the command line, measure, report."""
    chosen = _arguments()
    if chosen.quick:
        chosen.sessions, chosen.history, chosen.repeats = 60, 200, 1
    wanted = set(chosen.only or (*CONTENDERS, *SECTIONS))
    days = last_sessions(max(chosen.history, chosen.sessions) + chosen.repeats)
    news, days = days[-chosen.repeats :], days[: -chosen.repeats]
    with set_up() as bench:
        results = _measured(bench, chosen, wanted, days, news)
    print(markdown(results))
    if chosen.json:
        figures = {"machine": machine(), **asdict(results)}
        chosen.json.write_text(json.dumps(figures, indent=1))


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--sessions", type=int, default=504, help="sessions of the race (504: two years)")
    arguments.add_argument("--history", type=int, default=2000, help="sessions of the long history")
    arguments.add_argument("--repeats", type=int, default=5, help="rounds; the tables show medians")
    arguments.add_argument("--only", nargs="+", choices=[*CONTENDERS, *SECTIONS], metavar="NAME", help="of %(choices)s")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write every sample there, too")
    arguments.add_argument("--quick", action="store_true", help="60 and 200 sessions, one round: a try")
    return arguments.parse_args()


def _measured(
    bench: Bench, chosen: argparse.Namespace, wanted: set[str], days: Sequence[date], news: Sequence[date]
) -> Results:
    """Measure the race first, while the bucket holds only its sessions; then add the history."""
    recent, repeats = days[-chosen.sessions :], chosen.repeats
    _say(f"filling the bucket with {len(recent)} sessions")
    results = Results(len(recent), bench.put(recent), repeats)
    race = Race(bench, recent)
    race.run([name for name in CONTENDERS if name in wanted], repeats, _say)
    results.race, results.scaled, results.rows = race.samples, race.scaled, race.rows
    if "idle" in wanted:
        with bench.fresh() as cache:
            ingest(bench, cache, recent)
            results.idle = idle(bench, cache, recent, repeats)
    if "latency" in wanted:
        results.latency = growth.latency(bench, recent, repeats, _say)
    if wanted & {"one-new", "memory"}:
        _say(f"filling the bucket with {len(days) - len(recent)} sessions more")
        bench.put(days[: -len(recent)])
    if "memory" in wanted:
        sizes = sorted({min(100, len(days)), len(recent), len(days)})
        results.memory = growth.memory(bench, days, sizes, repeats, _say)
    if "one-new" in wanted:
        results.one_new = _one_new(bench, days, news)
    return results


def _one_new(bench: Bench, days: Sequence[date], news: Sequence[date]) -> dict[int, list[growth.Sample]]:
    with bench.fresh() as short, bench.fresh() as long:
        histories = [(short, days[-20:]), (long, days)]
        for cache, held in histories:
            ingest(bench, cache, held)
        return growth.one_new(bench, histories, news, _say)


def _say(text: str) -> None:
    """Print progress, apart from the report."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
