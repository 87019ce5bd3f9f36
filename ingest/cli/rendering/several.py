"""Several renderings of one run."""

from ingest.cli.rendering.base import Rendering
from ingest.events import Event
from ingest.planning.plan import Plan


class Several:
    """Shows each event in all of them; the first one asks."""

    def __init__(self, first: Rendering, *others: Rendering) -> None:
        self._first, self._others = first, others

    def event(self, event: Event) -> None:
        """Show one event."""
        for one in (self._first, *self._others):
            one.event(event)

    def plan(self, plan: Plan, dataset: str) -> None:
        """Show a plan."""
        for one in (self._first, *self._others):
            one.plan(plan, dataset)

    def confirm(self, estimate: str) -> bool:
        """Ask to confirm a large download."""
        return self._first.confirm(estimate)
