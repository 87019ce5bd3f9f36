"""`ingest list`."""

import sys
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

import anyio

from ingest import settings
from ingest.cli.commands.fetching.run import NOTHING_LISTED
from ingest.cli.rendering import only_warnings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import flag_named
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, heading, minute, size
from ingest.cli.warnings import warnings_told
from ingest.errors import WrongArgument, printable, warn
from ingest.maintenance.absence import warn_of_nothing
from ingest.maintenance.status import asked_or_held
from ingest.maintenance.stored import stored_parts
from ingest.market.calendars import today
from ingest.market.datasets import Dataset
from ingest.market.windows import choose
from ingest.planning.listing import Listed, list_window
from ingest.planning.request import Flags, datasets_asked, request_of


def list_command(flags: Flags, datasets: Sequence[str], config: Path | None, as_json: bool) -> int:
    """Print what the source lists for a window; returns the exit code. Raises IngestError."""
    chosen = settings.load(config, flags.settings(), flag_named)
    kinds = datasets_asked(datasets, chosen)
    code = 0
    for kind in kinds:
        sink = only_warnings(as_json).event
        request = request_of(flags, chosen, sink, kind)
        found = anyio.run(partial(list_window, chosen, request, sink))
        with warnings_told(as_json):
            for notice in () if found.files else request.window.notices:
                warn(notice)
        if as_json:
            print_records("file", ({"dataset": kind.name, **fields_of(one)} for one in found.files))
        else:
            _show(Answers(), heading(kind, kinds), found.files)
        code = max(code, NOTHING_LISTED if found.is_bare else 0)
    return code


def parts_command(flags: Flags, datasets: Sequence[str], config: Path | None, as_json: bool) -> int:
    """Print the parts of the stored sessions, of a window if one is given; returns the exit code. Raises IngestError.

    No source is asked.
    """
    if flags.all_permitted:
        raise WrongArgument(("parts", "all_permitted"), "cannot be combined: parts are of what is stored")
    chosen = settings.load(config, flags.settings(), flag_named)
    for kind in asked_or_held(datasets, chosen):
        span = _span(flags, kind)
        found = stored_parts(chosen, kind, *span)
        with warnings_told(as_json):
            if not found:
                warn_of_nothing(chosen, kind, *span)
        for one in found:
            if as_json:
                print_records("part", [fields_of(one)])
            else:
                size = "-" if one.bytes is None else one.bytes
                sys.stdout.write(f"{kind.short} {one.session} {one.tier} {size} {one.sha256} {printable(one.path)}\n")
    return 0


def _span(flags: Flags, dataset: Dataset) -> tuple[date | None, date | None]:
    if flags.months is None:
        return flags.start, flags.end
    window = choose(flags.months, flags.start, flags.end, today(), dataset)
    return window.start, window.end


def _show(console: Answers, heading: str, found: Sequence[Listed]) -> None:
    if heading:
        console.print(heading)
    rows = []
    for one in found:
        held = {"none": "no", "committed": "yes"}.get(one.held, one.held)
        rows.append((str(one.session), size(one.bytes), minute(one.published), held, "yes" if one.permitted else "no"))
    console.print_table(("session", "size", "published (UTC)", "held", "permitted"), rows, right=("size",))
    open_ = [one for one in found if one.permitted and one.held != "committed"]
    console.print(
        f"{counted(len(found), 'file')} listed, {size(sum(one.bytes for one in found))}; "
        f"{counted(len(open_), 'file')} available but not stored, {size(sum(one.bytes for one in open_))}."
    )
