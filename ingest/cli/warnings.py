"""Warnings from reading, as lines for people; values as lines of JSON for programs."""

import json
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ingest import events
from ingest.cli.rendering.hints import told
from ingest.errors import IngestWarning

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDEST = 10_000


@contextmanager
def warnings_told() -> Iterator[None]:
    """Print our warnings as lines on stderr, also when an error follows; leave all others to Python."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", IngestWarning)
            yield
    finally:
        ours = [told(one.message) for one in caught if isinstance(one.message, IngestWarning)]
        sys.stderr.writelines(f"warning: {message}\n" for message in dict.fromkeys(ours))
        for other in caught:
            if not issubclass(other.category, IngestWarning):
                warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)


@contextmanager
def asking_shown() -> Iterator[events.Sink]:
    """Count the tickers queried from Yahoo, in one line on a terminal that is erased at the end."""
    if not sys.stderr.isatty():
        yield events.ignore
        return
    from rich.console import Console

    status = Console(stderr=True, highlight=False, markup=False).status("asking Yahoo for splits and dividends")

    def show(event: events.Event) -> None:
        if isinstance(event, events.YahooAsked):
            status.update(f"asking Yahoo for splits and dividends: {event.number:,} of {event.of:,} tickers")
            status.start()

    try:
        yield show
    finally:
        status.stop()


def print_uncut(console: "Console", table: "Table") -> None:
    """Print a table as wide as it needs to be, and leave it to the terminal to wrap long lines.

    A number that is cut off reads as another number, and a path that is broken by a line end cannot be copied.
    """
    from rich.console import Console

    needed = console.measure(table, options=console.options.update(width=_WIDEST)).maximum
    wide = Console(highlight=False, markup=False, width=max(needed, console.width))
    wide.print(table)


def print_json(values: Iterable[Mapping[str, Any]]) -> None:
    """Print a line for each value as it arrives, until the reader closes the output.

    The lines are ASCII, so they mean the same in any encoding.
    """
    for value in values:
        if getattr(sys.stdout, "lost", None):
            return
        sys.stdout.write(json.dumps(value, default=str) + "\n")
