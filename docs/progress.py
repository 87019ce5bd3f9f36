"""Draws docs/progress.svg: the bars of a run under way, and its summary, by the code that shows them on a terminal.

Run it from the checkout when the rendering changes: `.venv/bin/python docs/progress.py`
"""

import io
import re
from datetime import date, timedelta
from pathlib import Path

from ingest import events
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.terminal import Terminal
from ingest.market.catalogue import STOCKS_DAY

TOTAL, DONE = 502, 318
DAY = date(2024, 11, 25)


def main() -> None:
    """Feed a rendering with events and save what it shows."""
    console = Answers(record=True, width=80, file=io.StringIO(), force_terminal=True)
    clock = iter([0.0, 0.0, *[3.4] * 100])
    terminal = Terminal(console, clock=lambda: next(clock))
    console.print("$ ingest run --months 24", style="bold")
    terminal.event(events.Planned(TOTAL, TOTAL * 221_000, {}))
    for number in range(DONE + 24):
        session = DAY + timedelta(days=number)
        terminal.event(events.FetchStarted(session, 221_000))
        if number < DONE:
            terminal.event(events.Fetched(session, 221_000, 0.02))
            terminal.event(events.Committed(session, 221_000, 9_700, 53, 9_647, 0, "new"))
    console.print(terminal.frame())
    console.print()
    terminal.event(_finished())
    svg = console.export_svg(title="ingest")
    # The page that shows the picture has a font of its own: no need to fetch one from elsewhere.
    Path(__file__).with_name("progress.svg").write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S))


def _finished() -> events.Finished:
    return events.Finished(
        run=1,
        dataset=STOCKS_DAY.name,
        start=date(2024, 11, 23),
        end=date(2026, 11, 23),
        exit_code=0,
        interrupted=False,
        seconds=5.4,
        requests=505,
        bytes=TOTAL * 221_000,
        fetched=TOTAL,
        committed=TOTAL,
        forbidden=0,
        unpublished=1,
        absent=0,
        failed=0,
        quarantined=0,
        not_attempted=0,
        source_rows=TOTAL * 9_700,
        tracked_rows=TOTAL * 53,
        archive_rows=TOTAL * 9_647,
        dropped_rows=0,
        corrections=0,
        files_projected=53,
        yahoo_rows=0,
        findings={},
    )


if __name__ == "__main__":
    main()
