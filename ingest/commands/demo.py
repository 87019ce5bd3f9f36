"""`ingest demo`: the same code path as `ingest run`, against a server of its own."""

import os
import shutil
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from ingest import sessions, settings, window
from ingest.commands.rendering import choose_rendering
from ingest.commands.run import execute
from ingest.corporate import Actions
from ingest.datasets import STOCKS_DAY
from ingest.demo import server
from ingest.demo.child import sigterm_as_exit
from ingest.demo.market import DEMO_TICKERS
from ingest.errors import UsageError
from ingest.manifest import Manifest
from ingest.manifest.quotes import Asking, Quotes
from ingest.request import Flags, request_of
from ingest.settings import Settings
from ingest.tiers.layout import csv_folder
from ingest.tiers.projection import CsvFolder

FORBIDDEN = 5
"""The newest sessions that the demo's keys may list but not read, as a plan with delayed data would."""

_MARK = ".ingest-demo"

_CONFIG = """\
# Written by `ingest demo`: its own cache, so that `ingest status --config {folder}/config.toml` shows it.
[cache]
root = "."

[tracked]
lists = ["stocks.txt"]

[fallback]
# The demo's prices are made up: Yahoo's are others.
enabled = false
"""


def demo_command(months: int, folder: Path) -> int:
    """Serve, run, show, and run again; returns the exit code. Raises IngestError."""
    console = Console(highlight=False)
    folder = _fresh(folder)
    days = _published(months)
    began = time.monotonic()
    console.print(f"Starting an S3 server on this machine and generating {len(days)} days of all tickers …")
    with sigterm_as_exit(), server.serve(days, days[-FORBIDDEN:]) as source:
        took = time.monotonic() - began
        console.print(
            f"{source.kind} at {source.endpoint_url} serves {source.objects} files (ready in {took:.1f} s); "
            f"the newest {FORBIDDEN} are forbidden, as a plan with delayed data would have it.\n"
        )
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(source.credentials)
        code = _twice(console, source, folder, months)
    _nothing_happened(folder)
    if code == 0:
        console.print(_what_next(folder), soft_wrap=True)
    return code


def _twice(console: Console, source: server.DemoSource, folder: Path, months: int) -> int:
    chosen = _settings(source, folder, months)
    console.print("[bold]$ ingest run[/bold]", f"--months {months}")
    if code := _run(chosen, months):
        return code
    _show(console, chosen)
    console.print("\n[bold]$ ingest run[/bold]", f"--months {months}", "[dim]# again: nothing is downloaded[/dim]")
    return _run(chosen, months)


def _nothing_happened(folder: Path) -> None:
    """The demo's companies neither split their shares nor paid anything: so its prices can be read adjusted, too."""
    chosen = settings.load(folder / "config.toml")
    asking = Asking(known=True, first=STOCKS_DAY.first_session, last=sessions.today())
    with Manifest.open(chosen.manifest_path, STOCKS_DAY.name) as manifest:
        for ticker in DEMO_TICKERS:
            Quotes(manifest).keep(ticker, asking, Actions(), [])


def _run(chosen: Settings, months: int) -> int:
    with choose_rendering(json=False, quiet=False) as rendering:
        return execute(chosen, request_of(Flags(months=months), chosen, rendering.event), rendering)


def _published(months: int) -> Sequence[date]:
    """Sessions of the window up to yesterday's: today's file is not published yet."""
    today = sessions.today()
    span = window.choose(months, None, None, today, STOCKS_DAY)
    return [day for day in sessions.Calendar.of(STOCKS_DAY.calendar).between(span.start, span.end) if day < today]


def _settings(source: server.DemoSource, folder: Path, months: int) -> Settings:
    flags: dict[str, dict[str, Any]] = {
        "source": {"endpoint_url": source.endpoint_url, "bucket": source.bucket, "profile": server.PROFILE},
        "cache": {"root": str(folder)},
        "run": {"months": months},
    }
    return settings.load(folder / "config.toml", flags)


def _fresh(folder: Path) -> Path:
    """An empty folder for the demo; one that an earlier demo left is emptied, any other is refused."""
    folder = folder.expanduser().absolute()
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise UsageError(f"{folder} is not empty and no demo's: choose another folder with --dir")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    (folder / "stocks.txt").write_text("# the tickers that the demo tracks\n" + "\n".join(DEMO_TICKERS) + "\n")
    (folder / "config.toml").write_text(_CONFIG.format(folder=folder))
    return folder


def _show(console: Console, chosen: Settings) -> None:
    """The end of a tracked CSV, and the newest archive file."""
    path = CsvFolder(csv_folder(chosen, STOCKS_DAY), STOCKS_DAY).file(DEMO_TICKERS[0])
    lines = path.read_text().splitlines()
    console.print(f"\n{path} ({len(lines) - 1} rows):", soft_wrap=True)
    console.print("\n".join([lines[0], *lines[-4:]]), style="cyan")
    archive = max(chosen.archive_path.glob("*.csv.gz"))
    console.print(f"All other tickers of that day: {archive} ({archive.stat().st_size / 1000:,.0f} kB)", soft_wrap=True)


def _what_next(folder: Path) -> str:
    return f"""
What the demo left: {folder}. Look at it:
  ingest status --config {folder}/config.toml
  ingest show AAPL -p 1mo --no-fetch --config {folder}/config.toml
With keys of your own, from the dashboard of Massive.com:
  1. write them into ~/.aws/credentials:
       \\[massive]
       aws_access_key_id = YOUR_ACCESS_KEY
       aws_secret_access_key = YOUR_SECRET_KEY
  2. write the tickers that you follow into stocks.txt, one a line
  3. ingest check
  4. ingest run --months 24"""
