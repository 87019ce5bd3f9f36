"""What a report says, in words. Whatever comes from outside is printable here; the template escapes it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import Any, Final, Literal

from ingest.cli.examples import EXITS
from ingest.cli.rendering.hints import dataset_flag
from ingest.cli.rendering.words import counted
from ingest.cli.report.datasets import DatasetReport
from ingest.cli.report.days import Day, State
from ingest.errors import printable
from ingest.maintenance.status import Status
from ingest.market.datasets import Dataset
from ingest.market.patterns import some

LABELS: Final[Mapping[State, str]] = {
    "held": "stored",
    "corrected": "corrected",
    "quarantined": "in quarantine",
    "damaged": "damaged",
    "missing": "missing",
    "forbidden": "forbidden",
    "pending": "not published yet",
    "holiday": "holiday",
}

UNENDED: Final = "killed, or running"

_STALE = 3
_NAMED = 4
_LONG = 80
"""Characters to show of a name or a value: a file may have any."""

_LONGEST = 400
"""Characters to show of a reason."""


Level = Literal["bad", "warn", "note"]


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to act on: how urgent, of which dataset, what, and the command that says or does more."""

    level: Level
    dataset: str
    text: str
    command: str = ""


def reason(day: Day) -> str:
    """Why a day has its state, in sentences; empty for a stored day about which there is nothing to say."""
    return " ".join(_sentences(day))


def _sentences(day: Day) -> Iterable[str]:
    if day.state == "damaged":
        yield "A part is missing or damaged; the next run downloads it again if it can."
    if day.refused:
        yield f"A file was refused: {sentence(day.refused.reason)}"
        yield "An earlier version is stored." if day.is_stored else "No other version is stored."
        if day.refused.dismissed:
            yield "You dismissed it."
    elif day.state == "quarantined":
        yield sentence(day.reason or "Its file was refused")
    if day.changes:
        tickers = [short(ticker) or "(no ticker)" for ticker in day.changes]
        yield f"Republished: {counted(sum(day.changes.values()), 'change')} of {some(tickers, _NAMED)}."
    if not day.is_stored and not day.refused and day.state != "quarantined":
        yield _absence(day)


def _absence(day: Day) -> str:
    if day.reason and day.remote not in ("holiday", "unpublished"):
        return sentence(day.reason)
    match day.state, day.remote:
        case "holiday", _:
            return "The market was closed."
        case "forbidden", _:
            return "Your subscription does not include it."
        case "pending", _:
            return "Its file was not published yet when last looked for."
        case _, "absent":
            return "The source lists no file of it."
        case _, "listed":
            return "The source has a file of it, which is not downloaded yet."
        case _, "failed":
            return "Its download failed; the next run tries again."
    return "No run has asked for it yet."


def short(text: str, most: int = _LONG) -> str:
    """A text from elsewhere, as one line that can be printed and is not too long."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[:most]} …"


def sentence(text: str) -> str:
    """A text from elsewhere as a sentence that can be printed."""
    shown = short(text.strip(), _LONGEST)
    return f"{shown[:1].upper()}{shown[1:]}{'' if shown.endswith(('.', '!', '?')) else '.'}"


def advice(found: DatasetReport, usual: Collection[str]) -> Iterable[Advice]:
    """What is not as it should be, the worst first; `usual` are the datasets of the settings."""
    status, name, flag = found.status, found.dataset.short, dataset_flag(found.dataset.short, usual)
    if status.not_whole:
        days = some([str(day) for day in status.not_whole], _NAMED)
        yield Advice("bad", name, f"A part is missing or damaged: {days}.", f"ingest run{flag}")
    last = next(iter(found.runs), None)
    if last and last["exit_code"] not in (0, None):
        ended = ending(last["exit_code"])
        yield Advice("bad", name, f"Run {last['run']}, the newest, ended with exit code {last['exit_code']}: {ended}.")
    if refused := [one for one in status.quarantine if not one.dismissed]:
        files = counted(len(refused), "file")
        yield Advice("warn", name, f"{files} in quarantine.", f"ingest quarantine list{flag}")
    if _is_stale(status) and name in usual:
        age = counted(status.age_sessions or 0, "session")
        yield Advice("warn", name, f"The newest stored session, {status.last}, is {age} old.", f"ingest run{flag}")
    missing = [day.remote for day in found.days if day.state == "missing"]
    unlisted = missing.count("absent")
    if there := len(missing) - unlisted:
        yield Advice("warn", name, f"{counted(there, 'session')} missing.", f"ingest run{flag}")
    if unlisted:
        yield Advice("note", name, f"{counted(unlisted, 'session')} not listed by the source.")
    if status.only_copies:
        copies = counted(status.only_copies, "session")
        yield Advice("note", name, f"{copies} can't be downloaded again: yours is the only copy, so back it up.")


def unadjusted(dataset: Dataset, adjusts: bool) -> str:
    """Why prices are as traded; empty if they can be adjusted."""
    if adjusts:
        return ""
    if not dataset.splits:
        return "As traded: there are no splits and dividends to adjust for."
    return "As traded: its splits and dividends are not known, or prices cannot be adjusted for them."


def _is_stale(status: Status) -> bool:
    """Whether the newest stored session is old although the subscription may include newer ones."""
    if status.last is None or status.age_sessions is None or status.age_sessions <= _STALE:
        return False
    return status.permission.allows(status.last + timedelta(days=1)) is not False


def ending(code: int | None) -> str:
    """What the exit code of a run means; None has none."""
    return UNENDED if code is None else EXITS["run"].get(code, "failed")


def findings_of(day: Day, kinds: Sequence[str]) -> list[list[int]]:
    """The findings of a day, each as the number of its kind among `kinds` and its count."""
    return [[kinds.index(kind), count] for kind, count in day.findings.items()]


def summary(run: Mapping[str, Any]) -> Mapping[str, float]:
    """The numbers of a run's summary."""
    told = run["summary"] or {}
    return {name: value for name, value in told.items() if type(value) in (int, float) and isfinite(value)}


def speed(told: Mapping[str, float]) -> float | None:
    """Bytes per second of a run with this summary; None without a download."""
    size_of, seconds = told.get("bytes"), told.get("seconds")
    return size_of / seconds if size_of and seconds and seconds > 0 else None


def moment(text: str | None) -> str:
    """A time of the manifest (ISO 8601, UTC) without its seconds and its offset; empty for None."""
    return text[:16].replace("T", " ") if text else ""
