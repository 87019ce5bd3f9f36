"""`python -m benchmarks.holding`: what commands cost by the number of sessions held, and of tickers tracked.

Whole processes over complete caches, in turns; `history` is asked for in a warm process. Reported, never asserted.
"""

import argparse
import gzip
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median

import ingest
from benchmarks.measure import Sample, measure, python
from benchmarks.ours import finished
from benchmarks.stage import TRACKED, Bench, last_sessions, set_up
from ingest.demo.files import market
from ingest.demo.servers import seaweed

ROWS = 2_000
"""Rows of each file: what grows here is their number. Tracking is measured with files of the usual size."""

SESSIONS = (20, 500, 2_500, 5_700)
TICKERS = (25, 400, 6_000)
TICKER_SESSIONS = 250


@dataclass(slots=True)
class Held:
    """A complete cache, and what the commands over it took."""

    bench: Bench
    cache: Path
    days: Sequence[date]
    tickers: Sequence[str]
    samples: dict[str, list[float]] = field(default_factory=dict)

    def run(self, *flags: str, fetched: int | None = None) -> Sample:
        """A run over the window; raises RuntimeError if it did not fetch as many sessions as it should."""
        first, last = str(self.days[0]), str(self.days[-1])
        sample = self.command("run", "--start", first, "--end", last, "--json", *flags)
        if fetched is not None and finished(sample)["fetched"] != fetched:
            raise RuntimeError(f"{fetched} sessions were to be fetched: {finished(sample)}")
        return sample

    def command(self, name: str, *arguments: str) -> Sample:
        """The cost of a command over the cache."""
        command = python("ingest", *name.split(), *arguments, "--config", self.config)
        return measure(command, {"AWS_SHARED_CREDENTIALS_FILE": str(self.bench.keys)})

    @property
    def config(self) -> Path:
        """The settings: one list of tickers, and otherwise the defaults."""
        return self.cache.with_suffix(".toml")

    def note(self, what: str, wall_s: float) -> None:
        """Keep a wall time."""
        self.samples.setdefault(what, []).append(wall_s)
        print(f"{len(self.days)} sessions, {len(self.tickers)} tickers, {what}: {wall_s:.3f} s", file=sys.stderr)


def main() -> None:
    """Fill caches, ask, print two tables of medians."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.holding", description=__doc__)
    arguments.add_argument("--sessions", type=int, nargs="+", default=SESSIONS)
    arguments.add_argument("--tickers", type=int, nargs="+", default=TICKERS)
    arguments.add_argument("--repeats", type=int, default=5, help="rounds; the tables show medians")
    chosen = arguments.parse_args()
    with set_up() as bench:
        print("\n".join(_table("sessions held", _by_sessions(bench, chosen.sessions, chosen.repeats))))
    with set_up() as bench:
        print("\n".join(_table("tickers tracked", _by_tickers(bench, chosen.tickers, chosen.repeats))))


def _by_sessions(bench: Bench, sizes: Sequence[int], repeats: int) -> Mapping[int, Held]:
    bench = replace(bench, market=market.Market(rows=ROWS))
    days = last_sessions(max(sizes))
    bench.put(days)
    held = {size: _filled(bench, days[-size:], TRACKED[: TICKERS[0]]) for size in sizes}
    for number in range(repeats):
        body = _corrected(bench, days[-1], number)
        for one in held.values():
            _ask(one, number)
        seaweed.fill(bench.server, bench.admin, [body])
        for one in held.values():
            one.note("one correction", one.run(fetched=1).wall_s)
    return held


def _ask(one: Held, number: int) -> None:
    archived = TRACKED[len(one.tickers) :]  # in every file, as a ticker of today is not
    one.note("nothing to do", one.run(fetched=0).wall_s)
    one.note("`status`", one.command("status").wall_s)
    one.note("`track add`", one.command("track add", archived[number]).wall_s)
    one.command("track remove", archived[number])
    ask = partial(ingest.history, archived[-1], fetch=False, adjust="none", config=one.config)
    ask()
    began = time.perf_counter()
    if ask().height != len(one.days):
        raise RuntimeError(f"{archived[-1]} is not in each of {len(one.days)} sessions")
    one.note("`history` of an archived ticker", time.perf_counter() - began)


def _by_tickers(bench: Bench, sizes: Sequence[int], repeats: int) -> Mapping[int, Held]:
    *days, _ = all_days = last_sessions(TICKER_SESSIONS + repeats)
    days = days[: 1 - repeats] if repeats > 1 else days
    bench.put(days)
    names = sorted(bench.market.bars(days[-1])["ticker"].to_list())
    held = {size: _filled(bench, days, names[:: len(names) // size][:size]) for size in sizes}
    for day in all_days[len(days) :]:
        bench.put([day])
        for one in held.values():
            one.days = [*one.days, day]
            one.note("one new session", one.run(fetched=1).wall_s)
            one.note("nothing to do", one.run(fetched=0).wall_s)
    return held


def _filled(bench: Bench, days: Sequence[date], tickers: Sequence[str]) -> Held:
    cache = bench.folder / f"cache-{len(days)}-{len(tickers)}"
    cache.mkdir()
    held = Held(bench, cache, days, tickers)
    listed = cache.with_suffix(".txt")
    listed.write_text("\n".join(tickers) + "\n")
    held.config.write_text(
        f"[source]\nendpoint_url = {json.dumps(bench.server.endpoint_url)}\n[cache]\nroot = {json.dumps(str(cache))}\n"
        f"[tracked]\nlists = [{json.dumps(str(listed))}]\n[fallback]\nenabled = false\n"
    )
    held.note("a first run", held.run("--yes", fetched=len(days)).wall_s)
    return held


def _corrected(bench: Bench, day: date, number: int) -> tuple[str, bytes]:
    """The file of a session with another volume in its last row."""
    (key, body), *_ = bench.market.objects([day])
    text = gzip.decompress(body)
    start = text.rindex(b"\n", 0, -1) + 1
    ticker, _, rest = text[start:].split(b",", 2)
    return key, gzip.compress(b"".join([text[:start], ticker, b",%d," % (1000 + number), rest]), 1)


def _table(title: str, held: Mapping[int, Held]) -> Iterator[str]:
    questions = list(next(iter(held.values())).samples)
    yield f"| {title} | {' | '.join(f'{size:,}' for size in held)} |"
    yield "|---" * (len(held) + 1) + "|"
    for question in questions:
        cells = (_told(median(one.samples[question])) for one in held.values())
        yield f"| {question} | {' | '.join(cells)} |"
    yield ""


def _told(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"


if __name__ == "__main__":
    main()
