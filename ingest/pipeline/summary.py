"""Counts a run's events on their way to the sink, for the summary at the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ingest import events
from ingest.finding import UNKNOWN_COLUMN, Finding
from ingest.market.windows import Window
from ingest.planning.plan import LATER, Decision, Plan

_STATES: Mapping[type[events.Ended], str] = {
    events.Committed: "committed",
    events.Forbidden: "forbidden",
    events.Vanished: "absent",
    events.Failed: "failed",
    events.Quarantined: "quarantined",
}
_WRITTEN: Mapping[type[events.Event], str] = {
    events.Projected: "files_projected",
    events.LakeWritten: "lake_files",
}
_ALL = (*_STATES.values(), "unpublished", "not_attempted", "damaged", "dismissed")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: its requests, how long it took in seconds, its exit code, and whether somebody stopped it."""

    requests: int
    seconds: float
    exit_code: int
    interrupted: bool


class Tally:
    """A sink that counts events and passes them on. `ended` says how each session's task ended."""

    def __init__(self, sink: events.Sink) -> None:
        self._sink = sink
        self._counts: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._said: set[str] = set()
        self._dataset = ""
        self.ended: dict[date, events.Ended] = {}

    def __call__(self, event: events.Event) -> None:
        """Count an event and pass it on."""
        match event:
            case events.RunStarted():
                self._dataset = event.dataset
            case events.Fetched():
                self._counts["bytes"] += event.bytes - event.resumed
            case events.Projected() | events.LakeWritten():
                self._counts[_WRITTEN[type(event)]] += event.files
            case events.YahooAsked():
                self._counts["yahoo_rows"] += event.rows
            case events.Found():
                self._findings.update(one.kind for one in event.findings)
            case events.Committed():
                self._committed(event)
        if isinstance(event, events.Ended):
            self.ended[event.session] = event
        self._sink(event)

    def _committed(self, event: events.Committed) -> None:
        self._findings.update(one.kind for one in event.findings)
        self._say_once(event.findings)
        self._counts["fetched"] += 1
        self._counts["corrections"] += event.corrected
        for name in ("source_rows", "tracked_rows", "archive_rows", "dropped_rows"):
            self._counts[name] += getattr(event, name)

    def _say_once(self, findings: Sequence[Finding]) -> None:
        """Report an unknown column with the first session that has it: the others will have it, too."""
        columns = {name for one in findings if one.kind == UNKNOWN_COLUMN for name in one.examples}
        for name in sorted(columns - self._said):
            self._sink(events.Notice(f"{UNKNOWN_COLUMN}: {name}; it is kept in the parts", "warning"))
        self._said |= columns

    def finished(self, run: int, window: Window, states: Mapping[str, int], how: Ending) -> events.Finished:
        """The summary; `states` counts the window's sessions as `standing` does."""
        counted = ("bytes", "fetched", "source_rows", "tracked_rows", "archive_rows", "dropped_rows")
        return events.Finished(
            run=run,
            dataset=self._dataset,
            start=window.start,
            end=window.end,
            exit_code=how.exit_code,
            interrupted=how.interrupted,
            seconds=how.seconds,
            requests=how.requests,
            corrections=self._counts["corrections"],
            files_projected=self._counts["files_projected"],
            yahoo_rows=self._counts["yahoo_rows"],
            lake_files=self._counts["lake_files"],
            findings=dict(self._findings.most_common()),
            **{name: self._counts[name] for name in counted},
            **{name: states.get(name, 0) for name in _ALL},
        )


def standing(plan: Plan | None, ended: Mapping[date, events.Ended]) -> dict[str, int]:
    """Number of sessions of the window by their state after the run."""
    decisions: Sequence[Decision] = plan.decisions if plan else ()
    return dict(Counter(_state(decision, ended.get(decision.session)) for decision in decisions))


def damaged(plan: Plan, ended: Mapping[date, events.Ended]) -> list[date]:
    """Stored sessions of the window that are not whole and could not be downloaded again."""
    return [one.session for one in plan.decisions if _state(one, ended.get(one.session)) == "damaged"]


def _state(decision: Decision, ended: events.Ended | None) -> str:
    if isinstance(ended, events.Forbidden | events.Vanished) and decision.held.held == "committed":
        return "damaged" if decision.damaged else "committed"  # no replacement is available; the stored version stays
    if isinstance(ended, events.Quarantined) and ended.dismissed:
        return "dismissed"
    if ended:
        return _STATES[type(ended)]
    return "not_attempted" if decision.action == "fetch" or decision.reason == LATER else decision.reason
