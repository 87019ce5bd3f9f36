"""`python -m benchmarks.objects`: parts in an object store, beside parts in folders.

What one request costs, a question for an archived ticker, a first run, and a run with nothing to do. The store is
SeaweedFS on the same machine; latency is added by a proxy. Rounds are interleaved, tables show medians.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from statistics import median

import ingest
from benchmarks.latency_proxy import Proxy, proxied
from benchmarks.measure import Sample, measure
from benchmarks.ours import command_with, finished
from benchmarks.race import medians
from benchmarks.report import machine
from benchmarks.stage import PROFILE, TRACKED, Bench, last_sessions, set_up
from benchmarks.store_requests import contenders
from ingest.cache.objects.bucket import Bucket
from ingest.demo.servers import seaweed

SECTIONS = ("requests", "history", "run")
BUCKET = "parts"
LATENCY_S = 0.03

_IN_FOLDERS, _IN_BUCKET = "parts in folders", "parts in a bucket"


def main() -> None:
    """Fill a bucket, measure, print markdown."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.objects", description=__doc__)
    arguments.add_argument("--sessions", type=int, default=504)
    arguments.add_argument("--repeats", type=int, default=5, help="rounds; the tables show medians")
    arguments.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="NAME", help="%(choices)s")
    chosen = arguments.parse_args()
    days = last_sessions(chosen.sessions)
    with set_up() as bench:
        seaweed.make_bucket(bench.server, bench.admin, BUCKET)
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(bench.keys)
        if "requests" in chosen.only:
            print("\n".join(_requests(bench, chosen.repeats)), flush=True)
        if {"history", "run"} & set(chosen.only):
            _say(f"filling the bucket with {len(days)} sessions")
            bench.put(days)
        if "run" in chosen.only:
            print("\n".join(_runs(bench, days, chosen.repeats)), flush=True)
        if "history" in chosen.only:
            print("\n".join(_history(bench, days, chosen.repeats)), flush=True)
    print("Measured on: " + ", ".join(f"{name} {value}" for name, value in machine().items()) + ".")


# Requests


def _requests(bench: Bench, repeats: int) -> Iterator[str]:
    bucket = Bucket(f"s3://{BUCKET}/requests", bench.server.endpoint_url, "us-east-1", PROFILE)
    yield "| one request, 32 at once | CPU ms | range | wall ms |"
    yield "|---|---:|---:|---:|"
    with contenders(bench, bucket, os.urandom(1 << 20)) as asked:
        for what, some in asked.items():
            for ask in some.values():
                ask()  # connections, imports
            rounds = [{name: ask() for name, ask in some.items()} for _ in range(repeats)]
            for name in some:
                cpu = [one[name].cpu_ms for one in rounds]
                wall = median(one[name].wall_ms for one in rounds)
                yield f"| {what}, {name} | {median(cpu):.2f} | {min(cpu):.2f} to {max(cpu):.2f} | {wall:.2f} |"
    yield ""


# Runs


def _runs(bench: Bench, days: Sequence[date], repeats: int) -> Iterator[str]:
    first: dict[str, list[Sample]] = {}
    again: dict[str, list[Sample]] = {}
    requests: dict[str, int] = {}
    with proxied(bench.server.endpoint_url) as counted:
        for number in range(repeats):
            for name, archive in ((_IN_FOLDERS, ""), (_IN_BUCKET, f"s3://{BUCKET}/run-{number}")):
                with bench.fresh() as cache:
                    command = _command(bench, cache, days, bench.server.endpoint_url, archive)
                    first.setdefault(name, []).append(_measured(bench, command, len(days)))
                    again.setdefault(name, []).append(_measured(bench, command, 0))
                    _say(f"round {number + 1}, {name}: {first[name][-1].cpu_s:.2f} s of CPU")
        with bench.fresh() as cache:
            command = _command(bench, cache, days, counted.endpoint_url, f"s3://{BUCKET}/counted")
            for what, fetched in (("a first run", len(days)), ("nothing to do", 0)):
                counted.requests()
                _measured(bench, command, fetched)
                requests[what] = counted.requests()
    yield "| `ingest run` | wall s | CPU s | peak MB | requests to the store |"
    yield "|---|---:|---:|---:|---:|"
    for what, samples in ((f"{len(days)} new sessions", first), ("nothing to do", again)):
        for name, some in samples.items():
            one = medians(some)
            to_store = requests["a first run" if samples is first else "nothing to do"] if name == _IN_BUCKET else 0
            yield f"| {what}, {name} | {one.wall_s:.2f} | {one.cpu_s:.2f} | {one.rss_mb:.0f} | {to_store:,} |"
    yield ""


def _command(bench: Bench, cache: Path, days: Sequence[date], store: str, archive: str, *flags: str) -> list[str]:
    reached = {"endpoint": store, "region": "us-east-1", "profile": PROFILE}
    return command_with(
        bench.folder, cache, days, *(flags or ("--json",)), archive=archive, store=reached,
        endpoint_url=bench.server.endpoint_url,
    )  # fmt: skip


def _measured(bench: Bench, command: Sequence[str], fetched: int) -> Sample:
    sample = measure(command, {"AWS_SHARED_CREDENTIALS_FILE": str(bench.keys)})
    if finished(sample)["fetched"] != fetched:
        raise RuntimeError(f"{fetched} sessions were to be fetched: {finished(sample)}")
    return sample


# History


def _history(bench: Bench, days: Sequence[date], repeats: int) -> Iterator[str]:
    """A cache for each way to the store, since a cache belongs to one endpoint."""
    with ExitStack() as stack:
        near = stack.enter_context(proxied(bench.server.endpoint_url))
        far = stack.enter_context(proxied(bench.server.endpoint_url, LATENCY_S))
        stores = {_IN_FOLDERS: "", _IN_BUCKET: bench.server.endpoint_url, **_through(near, far)}
        configs = {}
        for number, (name, endpoint) in enumerate(stores.items()):
            cache = stack.enter_context(bench.fresh())
            archive = f"s3://{BUCKET}/history-{number}" if endpoint else ""
            took = _measured(bench, _command(bench, cache, days, endpoint, archive), len(days)).wall_s
            _say(f"a first run, {name}: {took:.2f} s")
            configs[name] = bench.folder / f"{cache.name}.toml"
        yield from _asked(configs, len(days), repeats, {_through_name(LATENCY_S): far, _through_name(0): near})


def _through_name(delay_s: float) -> str:
    return f"{_IN_BUCKET}, through a proxy, {delay_s * 1000:.0f} ms a request"


def _through(near: Proxy, far: Proxy) -> Mapping[str, str]:
    return {_through_name(0): near.endpoint_url, _through_name(LATENCY_S): far.endpoint_url}


def _asked(configs: Mapping[str, Path], rows: int, repeats: int, proxies: Mapping[str, Proxy]) -> Iterator[str]:
    ticker = _archived(configs[_IN_FOLDERS], rows)
    asked = {name: _question(ticker, config, rows) for name, config in configs.items()}
    first = {name: ask() for name, ask in asked.items()}
    for proxy in proxies.values():
        proxy.requests()
    rounds = [{name: ask() for name, ask in asked.items()} for _ in range(repeats)]
    yield f"| `history` of an archived ticker, {rows} sessions | the first | the next | CPU | requests |"
    yield "|---|---:|---:|---:|---:|"
    for name in asked:
        wall, cpu = (median(one[name][at] for one in rounds) for at in (0, 1))
        requests = f"{proxies[name].requests() / repeats:.0f}" if name in proxies else ""
        yield f"| {name} | {1000 * first[name][0]:.0f} ms | {1000 * wall:.0f} ms | {1000 * cpu:.0f} ms | {requests} |"
    yield ""


def _question(ticker: str, config: Path, rows: int) -> Callable[[], tuple[float, float]]:
    """Asks in this process; returns seconds of wall and of CPU time."""

    def ask() -> tuple[float, float]:
        began, cpu = time.perf_counter(), time.process_time()
        found = ingest.history(ticker, fetch=False, adjust="none", config=config).height
        took = time.perf_counter() - began, time.process_time() - cpu
        if found != rows:
            raise RuntimeError(f"{ticker}: {found} rows, not {rows}")
        return took

    return ask


def _archived(config: Path, rows: int) -> str:
    """A ticker that is in each file and is not tracked, from the middle of the newest file."""
    from ingest.demo.files import market

    others = [name for name in sorted(market.KNOWN_PRICES) if name not in TRACKED]
    full = [name for name in others if ingest.history(name, fetch=False, adjust="none", config=config).height == rows]
    return full[len(full) // 2]


def _say(text: str) -> None:
    """Print progress, apart from the report."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
