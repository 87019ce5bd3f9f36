"""The page: the template filled with values, as one file that requests nothing.

Values from the cache reach it in two ways: as text that Jinja2 escapes, and as JSON without any `<`. Its own scripts
are allowed by their hashes, so that a browser runs no other.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ingest.cli.rendering.words import counted, size
from ingest.cli.report import words
from ingest.cli.report.calendar import SIGNS, Calendar, calendar, details
from ingest.cli.report.datasets import DatasetReport
from ingest.errors import UsageError, printable
from ingest.finding import KINDS
from ingest.settings import Settings

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER: Final = Path(__file__).parent
_MISSING: Final = "the report needs Jinja2: `pip install 'ingest[report]'`"
_RUNS: Final = 20
_YEARS: Final = 2
"""Years of a calendar that are open; earlier ones open at a click."""


@dataclass(frozen=True, slots=True)
class Part:
    """A dataset's part of the page."""

    found: DatasetReport
    calendar: Calendar


def page(settings: Settings, found: Sequence[DatasetReport], now: datetime | None = None) -> bytes:
    """The report about these datasets, as HTML. Raises UsageError if Jinja2 is not installed."""
    parts = [Part(one, calendar(one.days)) for one in found]
    data = {"kinds": list(map(printable, _kinds(found))), "labels": words.LABELS, "days": _days(parts)}
    return _filled(
        "report.html.j2",
        data,
        parts=parts,
        root=printable(str(settings.cache.root)),
        now=(now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        advice=[one for part in parts for one in words.advice(part.found, settings.run.datasets)],
        runs=_runs(found),
        totals=_totals(found),
    )


def _totals(found: Sequence[DatasetReport]) -> Mapping[str, Any]:
    """Sums over all datasets; `newest` is the newest stored session of any."""
    states = [one.status for one in found]
    return {
        "newest": max((state.last for state in states if state.last), default=None),
        "stored": sum(day.is_stored for one in found for day in one.days),
        "rows": sum(state.source_rows for state in states),
        "disk": sum(tier.bytes for state in states for tier in state.tiers),
        "changes": sum(one.changes.count for one in found),
        "refused": sum(len(state.quarantine) for state in states),
    }


def _kinds(found: Sequence[DatasetReport]) -> list[str]:
    """Kinds of findings, those of this version first: a cache may hold others."""
    return list(dict.fromkeys([*KINDS, *(kind for one in found for kind in one.examples)]))


def _days(parts: Sequence[Part]) -> Sequence[Mapping[str, Any]]:
    kinds = _kinds([part.found for part in parts])
    return [details(part.calendar, kinds) for part in parts]


def _runs(found: Sequence[DatasetReport]) -> list[Mapping[str, Any]]:
    """The newest runs of all datasets, each with its dataset and its speed as a share of the fastest one's."""
    runs = [{**run, "dataset": one.dataset.short, "speed": words.speed(run)} for one in found for run in one.runs]
    newest = sorted(runs, key=lambda run: run["run"], reverse=True)[:_RUNS]
    fastest = max((run["speed"] or 0 for run in newest), default=0) or 1
    return [{**run, "share": (run["speed"] or 0) / fastest} for run in newest]


def _filled(template: str, data: Mapping[str, Any], **values: Any) -> bytes:
    environment = _environment()
    scripts = {"script": _read("calendar.js")}
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in scripts.values())
    text = environment.get_template(template).render(
        **values, data=_json(data), css=_read("report.css"), hashes=hashes, **scripts, years_open=_YEARS
    )
    return text.encode()


@cache
def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element in which it stands, whatever its texts contain."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _environment() -> "Environment":
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise UsageError(_MISSING) from error
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"size": size, "counted": counted, "printable": printable, "moment": words.moment}
    made.globals |= {"labels": words.LABELS, "signs": SIGNS, "exits": words.EXITS, "changed": words.changed}
    return made
