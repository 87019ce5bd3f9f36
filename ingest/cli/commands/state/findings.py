"""`ingest findings`."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ingest import settings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import dataset_flag
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, heading
from ingest.cli.warnings import warnings_told
from ingest.finding import LEFT_OUT, Finding
from ingest.maintenance.absence import warn_of_nothing
from ingest.maintenance.status import asked_or_held, findings
from ingest.market.datasets import Dataset

_SHOWN = 200
_NAMED = 5


def findings_command(
    datasets: Sequence[str],
    kind: str | None,
    start: date | None,
    end: date | None,
    config: Path | None,
    *,
    as_json: bool,
) -> int:
    """Print what is noteworthy about the stored sessions; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    kinds = asked_or_held(datasets, chosen)
    for dataset in kinds:
        found = findings(chosen, kind, start, end, dataset)
        with warnings_told(as_json):
            if not found:
                warn_of_nothing(chosen, dataset, start, end)
        if as_json:
            of = {"dataset": dataset.name}
            print_records("finding", (of | {"date": session} | fields_of(one) for session, one in found))
        else:
            _show(Answers(), heading(dataset, kinds), dataset, found, is_all=kind is None)
    return 0


def _show(
    console: Answers, heading: str, dataset: Dataset, found: Sequence[tuple[date, Finding]], is_all: bool
) -> None:
    if heading:
        console.print(heading)
    if not found:
        console.print("No findings in these sessions.")
        return
    rows = (
        (str(session), one.kind, f"{one.count:,}", ", ".join(one.examples[:_NAMED])) for session, one in found[-_SHOWN:]
    )
    console.print_table(("date", "finding", "count", "for example"), rows, right=("count",), prose=True)
    if len(found) > _SHOWN:
        console.print(f"the last {_SHOWN} of {len(found):,} (--json has all)")
    for kind, count in Counter(one.kind for _, one in found).most_common():
        console.print(f"{kind}: {counted(count, 'session')}")
    if any(one.kind == LEFT_OUT for _, one in found):
        flag = dataset_flag(dataset.short)
        console.print(
            f"All other rows are stored as published; `ingest quarantine show SESSION{flag}` prints those left out."
        )
    else:
        console.print("The rows are stored as published" + (": nothing was left out or changed." if is_all else "."))
