"""The demo's own folder: its cache, its lists of tickers and its settings."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingest import settings
from ingest.cache.commit import for_writing
from ingest.cache.manifest.yahoo import ActionCoverage
from ingest.cli.commands.demo.exhibits import Exhibit
from ingest.cli.rendering.hints import flag_named
from ingest.demo.servers import server
from ingest.errors import UsageError
from ingest.market import calendars
from ingest.market.catalogue import days_of
from ingest.market.corporate_actions import Actions
from ingest.settings import Settings

_BUCKET = """\
archive = {url}

[store]
endpoint = {endpoint}
region = "us-east-1"
profile = {profile}
"""

_MARK = ".ingest-demo"
_OURS = (".toml", ".txt")

_SOURCE = "ingest demo"
"""How the demo's cache identifies its source, whatever the port is, so that it takes no other source's files."""

_CONFIG = """\
# Written by `ingest demo`: its own cache, so that `ingest status --config {folder}/config.toml` shows it.
[cache]
root = "."
{store}
[run]
datasets = {datasets}

[tracked]
lists = ["stocks.txt"]

[fallback]
# The demo's prices are made up: Yahoo's are others.
enabled = false

[lake]
enabled = {lake}
"""


def absolute(folder: Path) -> Path:
    """The folder that `--dir` names. Raises UsageError."""
    try:
        return folder.expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(f"--dir {folder}: the home folder is not known") from error


def refresh(folder: Path, exhibits: Sequence[Exhibit], lake: bool = False) -> None:
    """Make an empty folder for the demo: empty one of an earlier demo, and refuse any other that has files."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise UsageError(f"{folder} is not empty and not a demo: choose another folder with --dir")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    for one in exhibits:
        tickers = "\n".join(one.tickers)
        _write(folder / one.list_name, f"# the tickers of {one.dataset.short} that the demo tracks\n{tickers}\n")
    configure(folder, exhibits, lake)


def configure(
    folder: Path, exhibits: Sequence[Exhibit], lake: bool = False, source: server.DemoSource | None = None
) -> None:
    """Write the demo's config.toml; with a source that has a store for parts, they go there."""
    shorts = json.dumps([one.dataset.short for one in exhibits])
    store = ""
    if source and source.store:
        url, endpoint, profile = map(json.dumps, (source.store, source.endpoint_url, server.STORE_PROFILE))
        store = _BUCKET.format(url=url, endpoint=endpoint, profile=profile)
    _write(folder / "config.toml", _CONFIG.format(folder=folder, datasets=shorts, store=store, lake=json.dumps(lake)))


def lose(folder: Path) -> None:
    """Remove what a run has made: the manifest and the CSVs. The settings and the lists of tickers stay."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix not in _OURS and path.name != _MARK:
            path.unlink()


def _write(path: Path, text: str) -> None:
    """Write UTF-8, whatever the locale's encoding is; bytes of a folder's name that are not text are escaped."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def settings_of(source: server.DemoSource, folder: Path, exhibit: Exhibit) -> Settings:
    """The settings of a run over the exhibit."""
    flags: dict[str, dict[str, Any]] = {
        "source": {
            "endpoint_url": source.endpoint_url,
            "bucket": source.bucket,
            "profile": server.PROFILE,
            "same_as": _SOURCE,
        },
        "cache": {"root": str(folder)},
        "run": {"months": exhibit.flags.months},
    }
    return settings.load(folder / "config.toml", flags, flag_named)


def note_that_nothing_happened(folder: Path, exhibit: Exhibit) -> None:
    """Record that the demo's companies had no splits or dividends, so that adjusted prices can be read, too."""
    dataset = exhibit.dataset
    if not dataset.splits:
        return
    chosen = settings.load(folder / "config.toml")
    asking = ActionCoverage(first=dataset.first_session, last=calendars.today())
    # The corporate actions of minute bars are stored with the day bars.
    with for_writing(chosen, days_of(dataset) or dataset) as cache:
        for ticker in exhibit.tickers:
            cache.manifest.yahoo.keep(ticker, asking, Actions(), [])
