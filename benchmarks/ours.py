"""`ingest run`, as users call it."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from benchmarks.measure import CHECKOUT, Sample, measure, python
from benchmarks.stage import TRACKED, Bench


def ingest(
    bench: Bench,
    cache: Path,
    days: Sequence[date],
    *flags: str,
    endpoint_url: str | None = None,
    checkout: Path = CHECKOUT,
) -> Sample:
    """Run over the window of these sessions into a cache, quietly unless the flags say otherwise."""
    command = command_for(bench, cache, days, *(flags or ("--quiet",)), endpoint_url=endpoint_url)
    return measure(command, {"AWS_SHARED_CREDENTIALS_FILE": str(bench.keys)}, checkout)


def command_for(
    bench: Bench, cache: Path, days: Sequence[date], *flags: str, endpoint_url: str | None = None
) -> list[str]:
    """Write the configuration and return the command; all settings except the addresses are the defaults."""
    return command_with(bench.folder, cache, days, *flags, endpoint_url=endpoint_url or bench.server.endpoint_url)


def command_with(
    folder: Path,
    cache: Path,
    days: Sequence[date],
    *flags: str,
    tickers: Sequence[str] = TRACKED,
    archive: str = "",
    store: Mapping[str, str] | None = None,
    **source: float | str,
) -> list[str]:
    """Write the configuration into a folder and return the command; only what is given here is not a default.

    `archive` is the URL of a place for the parts, `store` the section that says how to reach it.
    """
    config = folder / f"{cache.name}.toml"
    named = "".join(f"{name} = {json.dumps(value)}\n" for name, value in source.items())
    reached = "".join(f"{name} = {json.dumps(value)}\n" for name, value in (store or {}).items())
    placed = f"archive = {json.dumps(archive)}\n[store]\n{reached}" if archive else ""
    config.write_text(
        f"[source]\n{named}"
        f"[cache]\nroot = {json.dumps(str(cache))}\n{placed}"
        f"[tracked]\nlists = []\ntickers = {json.dumps(tickers)}\n[fallback]\nenabled = false\n"
    )
    return python("ingest", "run", "--config", config, "--start", days[0], "--end", days[-1], *flags)


def finished(sample: Sample) -> dict[str, int]:
    """The last event of a run with `--json`."""
    event: dict[str, int] = json.loads(sample.output.splitlines()[-1])
    return event
