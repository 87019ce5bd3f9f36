"""What the demo says: what it serves, where the rows went, and what to do next."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from ingest.cache.cache import Layout
from ingest.cli.commands.demo.exhibits import Exhibit
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.words import counted, size
from ingest.lake.partitions import view_name
from ingest.lake.state import lake_state
from ingest.settings import Settings


def generated(exhibits: Sequence[Exhibit]) -> str:
    """What is generated, in words."""
    told = (f"{counted(len(one.shelf.sessions), 'day')} of {one.dataset.short}" for one in exhibits)
    return ", ".join(told)


def forbidden(exhibits: Sequence[Exhibit]) -> str:
    """Which files are forbidden, in words."""
    counts = sorted({one.shelf.forbidden for one in exhibits})
    if len(exhibits) == 1:
        return f"the newest {counts[0]} are forbidden" if counts[0] > 1 else "the newest is forbidden"
    return "the newest of each dataset are forbidden"


def show_rows(console: Answers, chosen: Settings, exhibit: Exhibit) -> None:
    """The end of a tracked CSV, and the newest archive part."""
    layout = Layout.of(chosen, exhibit.dataset)
    path = layout.csvs.file(exhibit.tickers[0])
    if layout.csvs.by_month:
        path = max(path.glob("*.csv"))
    lines = path.read_text(encoding="utf-8").splitlines()
    console.print(f"\n{path} ({len(lines) - 1:,} rows):")
    console.print("\n".join([lines[0], *lines[-4:]]), style="cyan")
    _, (archive, *_) = max(layout.parts.versions("archive").items())
    where, kilobytes = layout.parts.described(archive), layout.parts.size(archive) / 1000
    console.print(f"All other tickers of that day: {where} ({kilobytes:,.0f} kB)")


def show_lake(console: Answers, chosen: Settings, exhibit: Exhibit) -> None:
    """Where the Parquet files are, if there are any."""
    state = lake_state(chosen, exhibit.dataset)
    if state.files:
        console.print(f"All rows as Parquet: {state.pattern} ({counted(state.rows, 'row')}, {size(state.bytes)})")


def what_next(folder: Path, exhibits: Sequence[Exhibit], lake: bool = False) -> str:
    """Commands over what the demo left, and the steps to data of one's own."""
    first, of_it = exhibits[0], exhibits[0].dataset_flag
    bars = f"{first.scale.bars}-p {first.period}"
    config, ticker = map(_typed, (f"{folder}/config.toml", first.tickers[0]))
    query = f'  ingest sql "from {view_name(first.dataset)} limit 5" --config {config}\n' if lake else ""
    return f"""\
What the demo left: {folder}. Look at it:
  ingest status{of_it} --config {config}
  ingest show {ticker} {bars} --no-fetch{of_it} --config {config}
{query}With keys of your own, from the dashboard of Massive.com:
  1. write them into ~/.aws/credentials:
       [massive]
       aws_access_key_id = YOUR_ACCESS_KEY
       aws_secret_access_key = YOUR_SECRET_KEY
  2. write the tickers that you follow into {first.list_name}, one per line
  3. ingest check{of_it}
  4. ingest run{of_it} --months {first.scale.months}"""


def _typed(word: str) -> str:
    """A word as typed in a shell, quoted if it needs to be."""
    return word if re.fullmatch(r"[\w./\\:~-]+", word) else shlex.quote(word)
