"""`ingest report`: one HTML file about what the cache holds."""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from ingest import settings
from ingest.cli.rendering.records import print_records
from ingest.cli.rendering.words import counted
from ingest.cli.rendering.wrapping import tell
from ingest.cli.report.file import written
from ingest.cli.report.making import make_report

USUAL = "ingest-report.html"


def report_command(datasets: Sequence[str], out: Path | None, opens: bool, as_json: bool, config: Path | None) -> int:
    """Write the report, and open it in a browser if asked; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    made = make_report(chosen, datasets, out or Path(chosen.report.path or USUAL))
    if as_json:
        print_records("report", [{"path": made.path, "bytes": len(made.page), "datasets": made.datasets}])
    else:
        sys.stdout.write(written(made.path, made.page, counted(made.datasets, "dataset")))
    if opens and not webbrowser.open(made.path.as_uri()):
        tell("warning: there is no browser to open it with")
    return 0
