"""Starts the peers that use `s5cmd cp`, with their arguments for a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Sample, measure, python
from benchmarks.stage import PROFILE, Bench, s5cmd
from ingest.market.datasets import Dataset


def measured(
    module: str, bench: Bench, cache: Path, dataset: Dataset, tickers: Path, columns: Sequence[str], *flags: str
) -> Sample:
    """Measure a peer's script over all files of a dataset in the bucket, into an empty folder."""
    kind = ("--minutes",) if dataset.kind.timed else ()
    told = ("--columns", ",".join(columns), "--sigil", dataset.sigil, *kind, *flags)
    return measure(python(module, cache, tickers, *told, "--", *command(bench, dataset.prefix)), environment(bench))


def command(bench: Bench, prefix: str) -> list[str]:
    """Download all files below a prefix of the bucket into one folder; the caller appends its name."""
    source = f"s3://{bench.server.bucket}/{prefix}/*"
    return [s5cmd(), "--endpoint-url", bench.server.endpoint_url, "--log", "error", "cp", "--flatten", source]


def environment(bench: Bench) -> Mapping[str, str]:
    """Where s5cmd finds the keys."""
    return {"AWS_SHARED_CREDENTIALS_FILE": str(bench.keys), "AWS_PROFILE": PROFILE, "AWS_REGION": "us-east-1"}
