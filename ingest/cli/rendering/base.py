"""What every rendering can do."""

from typing import Protocol

from ingest.events import Event
from ingest.planning.plan import Plan


class Rendering(Protocol):
    """Shows a run's events as they come, or a plan."""

    def event(self, event: Event) -> None:
        """Show one event."""
        ...

    def plan(self, plan: Plan, dataset: str) -> None:
        """Show what a run of a dataset would do."""
        ...

    def confirm(self, estimate: str) -> bool:
        """Ask whether so large a download is wanted; False where there is nobody to ask."""
        ...
