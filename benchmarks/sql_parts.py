"""`python -m benchmarks.sql_parts --base DIR`: SQL where there is no lake, in this checkout and in another one.

Each question is asked by a process of its own, which imports what it needs; the order alternates. The base has the
libraries of this checkout, too.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.measure import CHECKOUT, Sample, measure
from benchmarks.ours import command_with
from benchmarks.stage import Bench, last_sessions, set_up
from ingest.demo.files.files import files_of
from ingest.demo.servers import seaweed
from ingest.market.catalogue import STOCKS_DAY, STOCKS_MINUTE
from ingest.market.datasets import Dataset

QUESTIONS = {
    "mean close of each ticker": "select ticker, avg(close) from {0} group by 1",
    "a count of all rows": "select count(*) from {0}",
    "one ticker": "from {0} where ticker = 'AAPL'",
    "all rows, joined with themselves": "select sum(a.close * b.close) from {0} a join {0} b using (ticker, date)",
}
_ASK = "import ingest, sys; print(ingest.sql(sys.argv[1], config=sys.argv[2]).height)"


def main() -> None:
    """Run, ask, print a table."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.sql_parts", description=__doc__)
    arguments.add_argument("--base", type=Path, required=True, help="the other checkout")
    arguments.add_argument("--sessions", type=int, default=504)
    arguments.add_argument("--minutes", type=int, default=6, help="sessions of minutes")
    arguments.add_argument("--pairs", type=int, default=3)
    chosen = arguments.parse_args()
    print("| question | CPU, base | CPU | ratio | memory, base | memory |\n|---|---:|---:|---:|---:|---:|")
    with set_up() as bench:
        for dataset, sessions in ((STOCKS_DAY, chosen.sessions), (STOCKS_MINUTE, chosen.minutes)):
            config = _stored(bench, dataset, last_sessions(sessions))
            for name, query in QUESTIONS.items():
                if dataset.kind.timed and "join" in query:
                    continue  # of a day's minutes with each other
                asked = query.format(dataset.short.replace("-", "_"))
                pairs = list(_pairs(asked, config, chosen.base.absolute(), chosen.pairs))
                print(_row(f"{dataset.short}: {name}", pairs), flush=True)


def _stored(bench: Bench, dataset: Dataset, days: Sequence[date]) -> Path:
    """The configuration of a cache with these sessions, without a lake."""
    files = files_of(dataset)
    if dataset.kind.timed:
        seaweed.fill(bench.server, bench.admin, files.objects(days))
    else:
        bench.put(days)
    cache = bench.folder / f"cache-{dataset.short}"
    flags = ("--dataset", dataset.short, "--quiet", "--yes", "--no-lake")
    command = command_with(bench.folder, cache, days, *flags, endpoint_url=bench.server.endpoint_url)
    measure(command, {"AWS_SHARED_CREDENTIALS_FILE": str(bench.keys)})
    return bench.folder / f"{cache.name}.toml"


def _pairs(query: str, config: Path, base: Path, count: int) -> Iterator[tuple[Sample, Sample]]:
    for number in range(count):
        order = (base, CHECKOUT) if number % 2 else (CHECKOUT, base)
        found = {checkout: _asked(query, config, checkout) for checkout in order}
        yield found[base], found[CHECKOUT]


def _asked(query: str, config: Path, checkout: Path) -> Sample:
    path = os.pathsep.join([str(checkout), os.environ.get("PYTHONPATH", "")])
    return measure([sys.executable, "-c", _ASK, query, str(config)], {"PYTHONPATH": path}, checkout)


def _row(name: str, pairs: Sequence[tuple[Sample, Sample]]) -> str:
    if len({one.output.split()[-1] for pair in pairs for one in pair}) > 1:  # before it may be DuckDB's bar
        raise RuntimeError(f"the answers differ: {name}")
    before, now = ([pair[side] for pair in pairs] for side in (0, 1))
    ratio = median(ours.cpu_s / base.cpu_s for base, ours in pairs)
    cpu = [f"{median(one.cpu_s for one in side):.1f} s" for side in (before, now)]
    memory = [f"{median(one.rss_mb for one in side):,.0f} MB" for side in (before, now)]
    return f"| {' | '.join([name, *cpu, f'{ratio:.2f}', *memory])} |"


if __name__ == "__main__":
    main()
