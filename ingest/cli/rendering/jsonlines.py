"""One line of JSON for each event, the summary last."""

import json
from dataclasses import asdict
from typing import Any, TextIO

from ingest.cli.rendering.hints import as_json
from ingest.events import Event, Notice, RunStarted, name_of
from ingest.planning.plan import Plan


class JsonLines:
    """Writes events as `{"event": "committed", "dataset": "…", "session": "2025-11-11", …}`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._dataset = ""

    def event(self, event: Event) -> None:
        """Write one event, with the dataset of the current run."""
        if isinstance(event, RunStarted):
            self._dataset = event.dataset
        dataset = {"dataset": self._dataset} if self._dataset else {}
        fields = as_json(event, "message") if isinstance(event, Notice) else asdict(event)
        self._write({"event": name_of(event)} | dataset | fields)

    def plan(self, plan: Plan, dataset: str) -> None:
        """Write each decision, then the totals."""
        for decision in plan.decisions:
            size = decision.item.size if decision.item else None
            self._write(
                {
                    "event": "decision",
                    "dataset": dataset,
                    "session": decision.session,
                    "action": decision.action,
                    "reason": decision.reason,
                    "bytes": size,
                }
            )
        self._write(
            {
                "event": "plan",
                "dataset": dataset,
                "fetch": len(plan.fetches),
                "bytes": plan.bytes,
                "reasons": plan.reasons(),
            }
        )

    def confirm(self, estimate: str) -> bool:
        """False: there is nobody to ask."""
        return False

    def _write(self, value: dict[str, Any]) -> None:
        self._out.write(json.dumps(value, default=str) + "\n")
        self._out.flush()
