"""The report, from the cache to its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ingest.cli.rendering.hints import told
from ingest.cli.report.charts import charts
from ingest.cli.report.datasets import collected
from ingest.cli.report.file import page_place, put
from ingest.cli.report.page import MISSING, page
from ingest.errors import IngestError, UsageError, printable
from ingest.maintenance.checked import Check
from ingest.maintenance.status import asked_or_held
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was written: its page, its file, and how many datasets are in it."""

    page: bytes
    path: Path
    datasets: int


def make_report(chosen: Settings, datasets: Sequence[str], path: Path) -> Made:
    """Write the report about these datasets, or about all. Raises UsageError, CacheError."""
    place, kinds = page_place(path), asked_or_held(datasets, chosen)
    text = page(chosen, [collected(chosen, dataset) for dataset in kinds], charts(chosen, kinds))
    put(place, text)
    return Made(text, place, len(kinds))


def renewed(chosen: Settings) -> str:
    """Replace the file of [report] path after a run; returns what went wrong."""
    try:
        make_report(chosen, (), Path(chosen.report.path))
    except IngestError as error:
        return f"the report was not written: {told(error)}"
    return ""


def check_report(path: str) -> Check:
    """What `ingest check` says of [report] path: whether a run can replace it."""
    try:
        place = page_place(Path(path))
        if find_spec("jinja2") is None:
            raise UsageError(MISSING)
    except IngestError as error:
        return Check("report", False, told(error), "see [report]", needed=False)
    return Check("report", True, f"each run replaces {printable(str(place))}")
