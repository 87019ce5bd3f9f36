"""One record for each event, the summary last."""

from collections.abc import Mapping
from typing import Any, TextIO

from ingest.cli.rendering.hints import said
from ingest.cli.rendering.records import as_record, fields_of
from ingest.events import Event, Notice, RunStarted, name_of
from ingest.planning.plan import Plan


class JsonLines:
    """Writes events as records; the event's name is their kind."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._dataset = ""

    def event(self, event: Event) -> None:
        """Write one event, with the dataset of the current run."""
        if isinstance(event, RunStarted):
            self._dataset = event.dataset
        dataset = {"dataset": self._dataset} if self._dataset else {}
        if isinstance(event, Notice):
            kind = "warning" if event.level == "warning" else "notice"
            self._write(kind, dataset | {"message": said(event.message, event.hints)})
        else:
            self._write(name_of(event), dataset | fields_of(event))

    def plan(self, plan: Plan, dataset: str) -> None:
        """Write each decision, then the totals."""
        for one in plan.decisions:
            what = {"dataset": dataset, "session": one.session, "action": one.action, "reason": one.reason}
            self._write("decision", what | {"bytes": one.item.size if one.item else None})
        totals = {"dataset": dataset, "fetch": len(plan.fetches), "bytes": plan.bytes, "reasons": plan.reasons()}
        self._write("plan", totals)

    def confirm(self, estimate: str) -> bool:
        """False: there is nobody to ask."""
        return False

    def _write(self, kind: str, values: Mapping[str, Any]) -> None:
        self._out.write(as_record(kind, values))
        self._out.flush()
