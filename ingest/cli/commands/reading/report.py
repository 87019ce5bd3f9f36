"""`ingest report`: one HTML file about what the cache holds. It is replaced whole, or not at all."""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from ingest import settings
from ingest.cli.rendering.words import counted, size
from ingest.cli.report.datasets import collected
from ingest.cli.report.page import page
from ingest.cli.warnings import print_json
from ingest.errors import UsageError, printable
from ingest.files import durable
from ingest.maintenance.status import asked_or_held
from ingest.settings import Settings

USUAL = Path("ingest-report.html")


def report_command(datasets: Sequence[str], out: Path | None, opens: bool, as_json: bool, config: Path | None) -> int:
    """Write the report, and open it in a browser if asked; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    path = (out or USUAL).expanduser().absolute()
    written, number = write_report(chosen, datasets, path)
    if as_json:
        print_json([{"version": 1, "kind": "report", "path": str(path), "bytes": written, "datasets": number}])
    else:
        sys.stdout.write(f"{printable(str(path))}: {counted(number, 'dataset')}, {size(written)}\n")
    if opens and not webbrowser.open(path.as_uri()):
        sys.stderr.write("warning: there is no browser to open it with\n")
    return 0


def write_report(chosen: Settings, datasets: Sequence[str], path: Path) -> tuple[int, int]:
    """Write the report about these datasets, or about all; returns its bytes and how many datasets are in it.

    Raises UsageError, CacheError.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name the file to write")
    found = [collected(chosen, dataset) for dataset in asked_or_held(datasets, chosen)]
    text = page(chosen, found)
    durable.make_folder(path.parent)
    durable.replace(path, text)
    return len(text), len(found)
