"""`ingest report`: one HTML file about what the cache holds."""

import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest import settings
from ingest.cli.rendering.records import print_records
from ingest.cli.rendering.words import counted
from ingest.cli.report.charts import charts
from ingest.cli.report.datasets import collected
from ingest.cli.report.file import put, written
from ingest.cli.report.page import page
from ingest.maintenance.status import asked_or_held
from ingest.settings import Settings

USUAL = Path("ingest-report.html")


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was written: its page, its file, and how many datasets are in it."""

    page: bytes
    path: Path
    datasets: int


def report_command(datasets: Sequence[str], out: Path | None, opens: bool, as_json: bool, config: Path | None) -> int:
    """Write the report, and open it in a browser if asked; returns the exit code. Raises IngestError."""
    made = make_report(settings.load(config), datasets, out or USUAL)
    if as_json:
        print_records("report", [{"path": made.path, "bytes": len(made.page), "datasets": made.datasets}])
    else:
        sys.stdout.write(written(made.path, made.page, counted(made.datasets, "dataset")))
    if opens and not webbrowser.open(made.path.as_uri()):
        sys.stderr.write("warning: there is no browser to open it with\n")
    return 0


def make_report(chosen: Settings, datasets: Sequence[str], path: Path) -> Made:
    """Write the report about these datasets, or about all. Raises UsageError, CacheError."""
    kinds = asked_or_held(datasets, chosen)
    text = page(chosen, [collected(chosen, dataset) for dataset in kinds], charts(chosen, kinds))
    return Made(text, put(path, text), len(kinds))
