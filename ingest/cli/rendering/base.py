"""The interface of every rendering."""

from typing import Protocol

from ingest.events import Event
from ingest.planning.plan import Plan


class Rendering(Protocol):
    """Shows a run's events as they happen, or a plan."""

    def event(self, event: Event) -> None:
        """Show one event."""
        ...

    def plan(self, plan: Plan, dataset: str) -> None:
        """Show what a run for a dataset would do."""
        ...

    def confirm(self, estimate: str) -> bool:
        """Ask to confirm a large download; False if there is nobody to ask."""
        ...
