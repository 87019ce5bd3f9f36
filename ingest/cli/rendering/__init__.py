"""How a run's events are shown: bars on a terminal, log lines elsewhere, JSON on request."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.cli.rendering.base import Rendering


def only_warnings(json: bool) -> Rendering:
    """What a command shows of its work beside its answer: warnings on stderr, and as records if it answers in JSON."""
    from ingest.cli.rendering.lines import Quiet

    return Quiet(sys.stderr, recorded=json)


@contextmanager
def choose_rendering(json: bool, quiet: bool) -> Iterator[Rendering]:
    """Choose the rendering for these flags and this output."""
    if json:
        from ingest.cli.rendering.jsonlines import JsonLines

        yield JsonLines(sys.stdout)
    elif quiet:
        from ingest.cli.rendering.lines import Quiet

        yield Quiet(sys.stderr)
    elif sys.stdout.isatty():
        from ingest.cli.rendering.terminal import Terminal

        with Terminal() as terminal:
            yield terminal
    else:
        from ingest.cli.rendering.lines import Lines

        yield Lines(sys.stdout)
