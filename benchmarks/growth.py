"""What must not grow with the history: the time for one new session, and memory."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.latency_proxy import proxied
from benchmarks.measure import Sample
from benchmarks.ours import finished, ingest
from benchmarks.stage import Bench

LATENCY_S = 0.25
Say = Callable[[str], None]


def one_new(
    bench: Bench, histories: Sequence[tuple[Path, Sequence[date]]], news: Sequence[date], say: Say
) -> dict[int, list[Sample]]:
    """Add one day after another to the bucket and run over each of these complete caches."""
    found: dict[int, list[Sample]] = {}
    for number, day in enumerate(news):
        bench.put([day])
        for cache, held in histories:
            sample = ingest(bench, cache, [held[0], day], "--json")
            if finished(sample)["fetched"] != 1:
                raise RuntimeError(f"one session was to be fetched: {finished(sample)}")
            found.setdefault(len(held), []).append(sample)
            say(f"new day {number + 1}: {sample.wall_s:.2f} s upon {len(held)} sessions")
    return found


def memory(bench: Bench, days: Sequence[date], sizes: Sequence[int], repeats: int, say: Say) -> dict[int, list[Sample]]:
    """Fresh runs over the newest sessions, in each of these numbers."""
    found: dict[int, list[Sample]] = {}
    for _ in range(repeats):
        for size in sizes:
            with bench.fresh() as cache:
                sample = ingest(bench, cache, days[-size:])
            found.setdefault(size, []).append(sample)
            say(f"{size} sessions: {sample.rss_mb:.0f} MB")
    return found


def latency(bench: Bench, days: Sequence[date], repeats: int, say: Say) -> dict[float, list[Sample]]:
    """Fresh runs through a proxy that delays each request, and through one that does not; keyed by the delay."""
    found: dict[float, list[Sample]] = {}
    endpoint_url = bench.server.endpoint_url
    with proxied(endpoint_url, 0) as direct, proxied(endpoint_url, LATENCY_S) as delayed:
        for _ in range(repeats):
            for delay_s, address in ((0.0, direct.endpoint_url), (LATENCY_S, delayed.endpoint_url)):
                with bench.fresh() as cache:
                    sample = ingest(bench, cache, days, endpoint_url=address)
                found.setdefault(delay_s, []).append(sample)
                say(f"latency {delay_s * 1000:.0f} ms: {sample.wall_s:.2f} s")
    return found


def wall(samples: Sequence[Sample]) -> float:
    """Median of the wall times."""
    return median(sample.wall_s for sample in samples)
