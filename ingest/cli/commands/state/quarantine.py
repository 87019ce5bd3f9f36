"""`ingest quarantine`."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from ingest import settings
from ingest.cache.manifest.records import QuarantinedFile
from ingest.cli.commands.fetching.run import execute
from ingest.cli.rendering import choose_rendering, only_warnings
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.hints import dataset_flag
from ingest.cli.rendering.records import fields_of, print_records
from ingest.cli.rendering.words import counted, heading, minute, refused_files, size
from ingest.errors import printable
from ingest.maintenance import quarantine
from ingest.maintenance.quarantine import Accepted, Loss, Refused
from ingest.maintenance.status import asked_or_held
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.market.datasets import Dataset
from ingest.market.windows import Window
from ingest.planning.request import Flags, request_of

_NOTHING = "Nothing is in quarantine: every downloaded file was readable and applied."
_ALL_DISMISSED = "All files in quarantine are dismissed: name the sessions to download them again."
_DISMISSED = "dismissed. It stays in quarantine, and runs end with 0 unless another version is refused."
_NO_LONGER = "no longer dismissed. Runs end with 3 until it is accepted, dismissed, or replaced by a good version."
_SHOWN = 20
"""Tickers that are printed; --json has all."""


def list_command(datasets: Sequence[str], config: Path | None, as_json: bool) -> int:
    """Print what is in quarantine; returns the exit code. Raises IngestError."""
    chosen = settings.load(config)
    kinds = asked_or_held(datasets, chosen)
    for kind in kinds:
        found = quarantine.in_quarantine(chosen, dataset=kind)
        if as_json:
            print_records("quarantined_file", ({"dataset": kind.name, **fields_of(one)} for one in found))
        else:
            _list(Answers(), heading(kind, kinds), found, kind)
    return 0


def show_command(dataset: str | None, session: date, config: Path | None, as_json: bool) -> int:
    """Print what is known about one refused file; returns the exit code. Raises IngestError."""
    kind = _dataset(dataset)
    found = quarantine.inspect(settings.load(config), session, kind)
    if as_json:
        shown = fields_of(found)
        print_records("quarantined_file", [{"dataset": kind.name} | shown.pop("file") | shown])
    else:
        _show(Answers(), found, kind)
    return 0


def retry_command(dataset: str | None, sessions: Collection[date], config: Path | None) -> int:
    """Download refused files again, all if none is named; returns the run's exit code. Raises IngestError."""
    chosen, kind = settings.load(config), _dataset(dataset)
    wanted = frozenset(one.session for one in quarantine.reopened(chosen, sessions, kind))
    _say_done(Answers().print, set(sessions) - wanted)
    if not wanted and not sessions:
        Answers().print(_NOTHING if not quarantine.in_quarantine(chosen, dataset=kind) else _ALL_DISMISSED)
        return 0
    with choose_rendering(json=False, quiet=False) as rendering:
        request = request_of(Flags(refresh=True), chosen, rendering.event, kind)
        if not wanted:
            quarantine.settle(chosen, request, Answers().print)
            return 0
        window = Window(min(wanted), max(wanted))
        return execute(chosen, replace(request, window=window, only=wanted), rendering)


def dismiss_command(
    dataset: str | None, sessions: Collection[date], config: Path | None, undo: bool, as_json: bool
) -> int:
    """Dismiss refused files, or undo that, and print what they are now; returns the exit code. Raises IngestError."""
    kind = _dataset(dataset)
    found = quarantine.dismiss(settings.load(config), sessions, kind, undo)
    if as_json:
        print_records("quarantined_file", ({"dataset": kind.name, **fields_of(one)} for one in found))
        return 0
    for one in found:
        Answers().print(f"{one.session}: {_NO_LONGER if undo else _DISMISSED}")
    return 0


def accept_command(
    dataset: str | None,
    sessions: Collection[date],
    config: Path | None,
    without_bad_rows: bool = False,
    as_json: bool = False,
) -> int:
    """Apply the kept bytes of refused files, and print what changed; returns the exit code. Raises IngestError."""
    chosen, kind = settings.load(config), _dataset(dataset)
    request = request_of(Flags(), chosen, only_warnings(as_json).event, kind)
    console = Answers()
    say = _noted if as_json else console.print
    done = quarantine.accept(chosen, request, sessions, say, without_bad_rows)
    if as_json:
        print_records("accepted", ({"dataset": kind.name, **fields_of(one)} for one in done))
    else:
        for one in done:
            _say(console, one, kind)
    _say_done(say, set(sessions) - {one.session for one in done})
    return 0


def _noted(message: str) -> None:
    print_records("notice", [{"message": message}])


def _dataset(name: str | None) -> Dataset:
    return named(name) if name else STOCKS_DAY


def _list(console: Answers, heading: str, found: Sequence[QuarantinedFile], dataset: Dataset) -> None:
    if heading:
        console.print(heading)
    if not found:
        console.print(_NOTHING)
        return
    narrow = ("session", "size", "refused (UTC)", "acceptable", "held", "dismissed")
    rows = ((str(one.session), _size(one), minute(one.at), *_yes_no(one), one.reason) for one in found)
    console.print_table((*narrow, "reason"), rows, right=("size",), prose=True)
    flag = dataset_flag(dataset.short)
    dismissed = sum(bool(one.dismissed) for one in found)
    told = refused_files(len(found) - dismissed, dismissed)
    console.print(f"{told}. Details: `ingest quarantine show SESSION{flag}`.")
    if dismissed < len(found):
        console.print(f"`ingest quarantine retry{flag}` downloads them again, in case the transfer was at fault.")
        console.print(f"`ingest quarantine dismiss SESSION…{flag}` keeps them, and runs no longer end with 3 for them.")
    if any(one.acceptable for one in found):
        console.print(f"`ingest quarantine accept SESSION…{flag}` applies those marked acceptable without a download.")
    if any(one.held for one in found):
        console.print("Where an older version is stored, it stays in use until then.")


def _size(one: QuarantinedFile) -> str:
    return "" if one.size is None else size(one.size)


def _yes_no(one: QuarantinedFile) -> tuple[str, str, str]:
    return _word(one.acceptable), _word(one.held), _word(bool(one.dismissed))


def _word(holds: bool) -> str:
    return "yes" if holds else "no"


def _show(console: Answers, found: Refused, dataset: Dataset) -> None:
    one = found.file
    accepted, held, _ = _yes_no(one)
    facts = {
        "session": str(one.session),
        "size": _size(one),
        "ETag": one.etag,
        "refused (UTC)": minute(one.at),
        "reason": one.reason,
        "can be accepted": accepted,
        "older version stored": held,
        "dismissed (UTC)": minute(one.dismissed) if one.dismissed else "no",
        "bytes kept in": found.path,
    }
    for name, value in facts.items():
        console.print(f"{name}: {printable(value)}")
    console.print("it begins:" if found.opening else "none of it can be decompressed")
    for line in found.opening:
        console.print(f"  {line}")
    if found.lines:
        console.print("the lines at fault, and their neighbours:")
    for number, line in found.lines.items():
        console.print(f"  {number:,}: {line}")
    if found.loss:
        console.print(f"accepting it removes {_lost(found.loss)}.")
    flag = dataset_flag(dataset.short)
    if one.acceptable:
        console.print(f"`ingest quarantine accept {one.session}{flag}` applies it.")
    if found.bad_rows:
        rows = counted(found.bad_rows, "row")
        console.print(
            f"`ingest quarantine accept --without-bad-rows {one.session}{flag}` applies it without the {rows} "
            "that cannot be read, if these are a tenth at most."
        )
    console.print(f"`ingest quarantine retry {one.session}{flag}` downloads it again.")


def _lost(loss: Loss) -> str:
    rows = f"{loss.rows:,} of the {counted(loss.held, 'row')} stored"
    if not loss.tickers:
        return f"{rows}, tickers unknown because the stored parts are damaged"
    shown = ", ".join(map(printable, loss.tickers[:_SHOWN]))
    more = f" and {len(loss.tickers) - _SHOWN:,} more" if len(loss.tickers) > _SHOWN else ""
    return f"{rows}, of {counted(len(loss.tickers), 'ticker')}: {shown}{more}"


def _say_done(say: Callable[[str], None], sessions: Collection[date]) -> None:
    for session in sorted(sessions):
        say(f"{session}: already done: it is stored and no longer in quarantine.")


def _say(console: Answers, one: Accepted, dataset: Dataset) -> None:
    if one.went is None or one.came is None:
        console.print(f"{one.session}: applied. The stored version was damaged, so the changes are unknown.")
    elif one.is_new:
        console.print(f"{one.session}: applied; {counted(one.came, 'row')} stored.")
    else:
        changed = f"{counted(one.went, 'row')} removed and {one.came:,} added"
        command = f"ingest corrections{dataset_flag(dataset.short)}"
        console.print(f"{one.session}: applied; {changed} (`{command}` lists them).")
    for finding in one.findings:
        console.print(f"{one.session}: {finding}")
