"""`ingest demo`: the same code path as `ingest run`, against a server of its own."""

import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from ingest import settings
from ingest.cache.cache import Layout
from ingest.cache.commit import for_writing
from ingest.cache.manifest.yahoo import ActionCoverage
from ingest.cli.commands.fetching.run import execute
from ingest.cli.rendering import choose_rendering
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import flag_named
from ingest.cli.rendering.words import counted
from ingest.demo.files.files import files_of
from ingest.demo.servers import server
from ingest.demo.servers.child import sigterm_as_exit
from ingest.demo.servers.server import Shelf
from ingest.errors import UsageError
from ingest.market import calendars, windows
from ingest.market.catalogue import STOCKS_DAY, days_of, named
from ingest.market.corporate_actions import Actions
from ingest.market.datasets import Dataset
from ingest.market.row_kinds import DAY_BARS, MINUTE_BARS
from ingest.market.windows import first_day
from ingest.planning.request import Flags, request_of
from ingest.settings import Settings
from ingest.sources.massive.origins import OWN_VARIABLES

FORBIDDEN = 5
"""Newest sessions that the demo's keys may list but not read, as with a subscription to delayed data."""

MONTHS = 2
MINUTE_SESSIONS = 6
"""Sessions of minute bars to generate unless months are given; the newest is forbidden."""

_TRACKED = 10
_CONTRACTS = 12_000
"""Option contracts to generate; the vendor's files have some twenty times as many."""

_MARK = ".ingest-demo"

_SOURCE = "ingest demo"
"""How the demo's cache identifies its source, whatever the port is, so that it takes no other source's files."""

_CONFIG = """\
# Written by `ingest demo`: its own cache, so that `ingest status --config {folder}/config.toml` shows it.
[cache]
root = "."

[run]
datasets = {datasets}

[tracked]
lists = ["stocks.txt"]

[fallback]
# The demo's prices are made up: Yahoo's are others.
enabled = false
"""


@dataclass(frozen=True, slots=True)
class _Scale:
    """How much to generate of a kind of rows, and what to suggest afterwards.

    Without months given, `sessions` are generated, of which one is forbidden (None: those of `MONTHS`). `tickers` is
    the number of tickers in a file (None: as many as in the vendor's). `bars` and `periods` are the flag and the
    possible periods of the suggested `ingest show`; `months` are those of the suggested first run.
    """

    sessions: int | None = None
    tickers: int | None = None
    bars: str = ""
    periods: tuple[str, ...] = ("1mo", "3mo", "6mo")
    months: int = 24


_SCALES = {
    DAY_BARS: _Scale(),
    MINUTE_BARS: _Scale(MINUTE_SESSIONS, tickers=400, bars="-i 1h ", periods=("5d", "1mo", "3mo", "6mo"), months=1),
}


@dataclass(frozen=True, slots=True)
class _Part:
    """A dataset's part in the demo: the files to serve and the flags of its run; `said` has the flags as typed."""

    shelf: Shelf
    flags: Flags
    said: str

    @property
    def dataset(self) -> Dataset:
        return self.shelf.dataset

    @property
    def tickers(self) -> tuple[str, ...]:
        return self.shelf.files.always(self.shelf.sessions[-1])[:_TRACKED]


def demo_command(months: int | None, datasets: Iterable[str], folder: Path) -> int:
    """Serve, run, show, and run again; returns the exit code. Raises IngestError."""
    console = Answers()
    chosen = tuple(dict.fromkeys(map(named, datasets))) or (STOCKS_DAY,)
    folder = _absolute(folder)
    parts = [_part(dataset, months, folder) for dataset in chosen]
    _refresh(folder, parts)
    began = time.monotonic()
    console.print(f"Starting an S3 server on this machine and generating {_what(parts)} …")
    with sigterm_as_exit(), server.serve([part.shelf for part in parts]) as source:
        took = time.monotonic() - began
        console.print(
            f"{source.kind} at {source.endpoint_url} serves {source.objects} files (ready in {took:.1f} s); "
            f"{_forbidden(parts)}, as a subscription with delayed data would.\n"
        )
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(source.credentials)
        for name in OWN_VARIABLES:  # the user's own keys are not for this server
            os.environ.pop(name, None)
        code = _twice(console, source, folder, parts)
    for part in parts:
        _nothing_happened(folder, part)
    if code == 0:
        console.print(_what_next(folder, parts))
    return code


def _absolute(folder: Path) -> Path:
    try:
        return folder.expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"--dir {folder}: the home folder is not known") from error


def _part(dataset: Dataset, months: int | None, folder: Path) -> _Part:
    """Serve the sessions up to yesterday, since today's file is not published yet; for minutes a few days suffice."""
    today, sessions = calendars.today(), _SCALES[dataset.kind].sessions
    span = windows.choose(months or MONTHS, None, None, today, dataset)
    published = [day for day in calendars.Calendar.of(dataset.calendar).between(span.start, span.end) if day < today]
    lists = (folder / _list_of(dataset),)
    files = files_of(dataset, _rows(dataset))
    if sessions and months is None:
        days = published[-sessions:]
        return _Part(Shelf(files, days, forbidden=1), Flags(start=days[0], lists=lists), f"--start {days[0]}")
    shelf = Shelf(files, published, min(FORBIDDEN, len(published) - 1))
    return _Part(shelf, Flags(months=months or MONTHS, lists=lists), f"--months {months or MONTHS}")


def _rows(dataset: Dataset) -> int | None:
    """Tickers in each file; None for as many as in the vendor's."""
    contracts = _CONTRACTS if dataset.unit == "contracts" else None
    return _SCALES[dataset.kind].tickers or contracts


def _what(parts: Sequence[_Part]) -> str:
    """What is generated, in words."""
    told = (f"{counted(len(part.shelf.sessions), 'day')} of {part.dataset.short}" for part in parts)
    return ", ".join(told)


def _forbidden(parts: Sequence[_Part]) -> str:
    counts = sorted({part.shelf.forbidden for part in parts})
    if len(parts) == 1:
        return f"the newest {counts[0]} are forbidden" if counts[0] > 1 else "the newest is forbidden"
    return "the newest of each dataset are forbidden"


def _twice(console: Answers, source: server.DemoSource, folder: Path, parts: Sequence[_Part]) -> int:
    for again in (False, True):
        if again:
            console.print("# again: nothing is downloaded", style="dim")
        for part in parts:
            chosen = _settings(source, folder, part)
            console.print(Text.assemble(("$ ingest run", "bold"), f"{_flag(part)} {part.said}"))
            if code := _run(chosen, part):
                return code
            if not again:
                _show(console, chosen, part)
            console.print()
    return 0


def _run(chosen: Settings, part: _Part) -> int:
    with choose_rendering(json=False, quiet=False) as rendering:
        return execute(chosen, request_of(part.flags, chosen, rendering.event, part.dataset), rendering)


def _nothing_happened(folder: Path, part: _Part) -> None:
    """Record that the demo's companies had no splits or dividends, so that adjusted prices can be read, too."""
    if not part.dataset.splits:
        return
    chosen = settings.load(folder / "config.toml")
    asking = ActionCoverage(first=part.dataset.first_session, last=calendars.today())
    # The corporate actions of minute bars are stored with the day bars.
    with for_writing(chosen, days_of(part.dataset) or part.dataset) as cache:
        for ticker in part.tickers:
            cache.manifest.yahoo.keep(ticker, asking, Actions(), [])


def _flag(part: _Part) -> str:
    """The flag for a part's dataset; empty for the primary one, which is the default."""
    return "" if part.dataset.primary else f" --dataset {part.dataset.short}"


def _settings(source: server.DemoSource, folder: Path, part: _Part) -> Settings:
    flags: dict[str, dict[str, Any]] = {
        "source": {
            "endpoint_url": source.endpoint_url,
            "bucket": source.bucket,
            "profile": server.PROFILE,
            "same_as": _SOURCE,
        },
        "cache": {"root": str(folder)},
        "run": {"months": part.flags.months},
    }
    return settings.load(folder / "config.toml", flags, flag_named)


def _list_of(dataset: Dataset) -> str:
    """Name of the file that lists the dataset's tickers."""
    return "stocks.txt" if dataset.primary else f"{dataset.short}.txt"


def _refresh(folder: Path, parts: Sequence[_Part]) -> None:
    """Make an empty folder for the demo: empty one of an earlier demo, and refuse any other that has files."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise UsageError(f"{folder} is not empty and not a demo: choose another folder with --dir")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    for part in parts:
        tickers = "\n".join(part.tickers)
        _write(
            folder / _list_of(part.dataset), f"# the tickers of {part.dataset.short} that the demo tracks\n{tickers}\n"
        )
    shorts = json.dumps([part.dataset.short for part in parts])
    _write(folder / "config.toml", _CONFIG.format(folder=folder, datasets=shorts))


def _write(path: Path, text: str) -> None:
    """Write UTF-8, whatever the locale's encoding is; bytes of a folder's name that are not text are escaped."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _show(console: Answers, chosen: Settings, part: _Part) -> None:
    """The end of a tracked CSV, and the newest archive file."""
    layout = Layout.of(chosen, part.dataset)
    path = layout.csvs.file(part.tickers[0])
    if layout.csvs.by_month:
        path = max(path.glob("*.csv"))
    lines = path.read_text(encoding="utf-8").splitlines()
    console.print(f"\n{path} ({len(lines) - 1:,} rows):")
    console.print("\n".join([lines[0], *lines[-4:]]), style="cyan")
    _, (archive, *_) = max(layout.parts.versions("archive").items())
    where, size = layout.parts.described(archive), layout.parts.size(archive) / 1000
    console.print(f"All other tickers of that day: {where} ({size:,.0f} kB)")


def _period(shelf: Shelf) -> str:
    """The shortest period that includes a session that was not forbidden."""
    dataset, today = shelf.files.dataset, calendars.today()
    last = shelf.sessions[-1 - shelf.forbidden]
    return next((one for one in _SCALES[dataset.kind].periods if first_day(one, today, today, dataset) <= last), "max")


def _typed(word: str) -> str:
    """A word as typed in a shell, quoted if it needs to be."""
    return word if re.fullmatch(r"[\w./\\:~-]+", word) else shlex.quote(word)


def _what_next(folder: Path, parts: Sequence[_Part]) -> str:
    first, of_it = parts[0], _flag(parts[0])
    scale = _SCALES[first.dataset.kind]
    bars = f"{scale.bars}-p {_period(first.shelf)}"
    config, ticker = map(_typed, (f"{folder}/config.toml", first.tickers[0]))
    return f"""\
What the demo left: {folder}. Look at it:
  ingest status{of_it} --config {config}
  ingest show {ticker} {bars} --no-fetch{of_it} --config {config}
With keys of your own, from the dashboard of Massive.com:
  1. write them into ~/.aws/credentials:
       [massive]
       aws_access_key_id = YOUR_ACCESS_KEY
       aws_secret_access_key = YOUR_SECRET_KEY
  2. write the tickers that you follow into {_list_of(first.dataset)}, one per line
  3. ingest check{of_it}
  4. ingest run{of_it} --months {scale.months}"""
