"""Warnings and errors: as lines for people on stderr, and as records where the command answers in JSON."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ingest import events
from ingest.cli.rendering.hints import told
from ingest.cli.rendering.records import print_error, print_warning
from ingest.cli.rendering.wrapping import tell
from ingest.errors import IngestError, IngestWarning


@contextmanager
def warnings_told(as_json: bool = False) -> Iterator[None]:
    """Print our warnings, also when an error follows; leave all others to Python."""
    caught = list[warnings.WarningMessage]()  # Ctrl-C may come before the list below
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", IngestWarning)
            yield
    finally:
        ours = [told(one.message) for one in caught if isinstance(one.message, IngestWarning)]
        for message in dict.fromkeys(ours):
            tell(f"warning: {message}")
            if as_json:
                print_warning(message)
        for other in caught:
            if not issubclass(other.category, IngestWarning):
                warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)


def tell_error(error: IngestError, as_json: bool, about: str = "") -> None:
    """Print an error; `about` says what it concerns if it does not end the command."""
    words = f"{about}: {told(error)}" if about else told(error)
    tell(f"error: {words}")
    if as_json:
        print_error(type(error).__name__, words, error.exit_code)


@contextmanager
def asking_shown() -> Iterator[events.Sink]:
    """Count the tickers queried from Yahoo, in one line on a terminal that is erased at the end."""
    if not sys.stderr.isatty():
        yield events.ignore
        return
    from ingest.cli.rendering.answers import Answers

    status = Answers(stderr=True).status("asking Yahoo for splits and dividends")

    def show(event: events.Event) -> None:
        if isinstance(event, events.YahooAsked):
            status.update(f"asking Yahoo for splits and dividends: {event.number:,} of {event.of:,} tickers")
            status.start()

    try:
        yield show
    finally:
        status.stop()
