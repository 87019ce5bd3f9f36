"""The page: the template filled with values, as one file that requests nothing.

Values from the cache reach it in two ways: as text that Jinja2 escapes, and as JSON without any `<`. Its own scripts
are allowed by their hashes, so that a browser runs no other.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ingest.cli.rendering.words import counted, size
from ingest.cli.report import words
from ingest.cli.report.calendar import SIGNS, Calendar, calendar, details, first_year
from ingest.cli.report.charts import Charts, bars, stamps
from ingest.cli.report.datasets import DatasetReport
from ingest.errors import UsageError, printable
from ingest.finding import KINDS
from ingest.settings import Settings

if TYPE_CHECKING:
    import polars as pl
    from jinja2 import Environment

FOLDER: Final = Path(__file__).parent
_LIBRARY: Final = "vendor/lightweight-charts.standalone.production.js"
MISSING: Final = "the report needs Jinja2: `pip install 'ingest[report]'`"
_RUNS: Final = 20
_YEAR: Final = 252
"""Bars of a chart that are shown first: a year of sessions."""

_YEARS: Final = 2
"""Years of a calendar that are open; earlier ones open at a click."""


@dataclass(frozen=True, slots=True)
class Part:
    """A dataset's part of the page."""

    found: DatasetReport
    calendar: Calendar


def page(
    settings: Settings, found: Sequence[DatasetReport], drawn: Sequence[Charts], now: datetime | None = None
) -> bytes:
    """The report about these datasets with these charts, as HTML. Raises UsageError if Jinja2 is not installed."""
    since = first_year(one.days for one in found)
    parts = [Part(one, calendar(one.days, since)) for one in found]
    kinds, grown = _kinds(found), growth(found)
    data = {
        "kinds": list(map(words.short, kinds)),
        "labels": words.LABELS,
        "days": [details(part.calendar, kinds) for part in parts],
        "charts": [_chart(one) for one in drawn],
        "growth": grown,
        "span": _YEAR,
    }
    charted = sum(len(one.tickers) for one in drawn)
    return _filled(
        "report.html.j2",
        data,
        ["calendar.js", *([_LIBRARY, "charts.js"] if charted or grown else [])],
        title=printable(str(settings.cache.root)),
        parts=parts,
        advice=[one for part in parts for one in words.advice(part.found, settings.run.datasets)],
        runs=_runs(found),
        totals=_totals(found),
        growth=bool(grown),
        charted=charted,
        picks=charted > 1,
        toggles=True,
        spans=True,
        shortened=any(one.since for one in drawn),
        left=sum(one.left for one in drawn),
        notes=list(dict.fromkeys(words.sentence(note) for one in drawn for note in one.notes)),
        years_open=_YEARS,
    )


def chart_page(rows: "pl.DataFrame", title: str, about: str) -> bytes:
    """A page with one chart of these bars as they are: date or time, prices, volume and source, ascending.

    Raises UsageError if Jinja2 is not installed.
    """
    spans = "time" not in rows.columns and rows.height > _YEAR
    data = {"charts": [{**stamps(rows), "tickers": [{**bars(rows), "as": about}]}], "span": _YEAR if spans else 0}
    about_it = {"title": words.short(title), "about": printable(about)}
    alone = {"picks": False, "toggles": False, "spans": spans}
    return _filled("alone.html.j2", data, [_LIBRARY, "charts.js"], **about_it, **alone)


def growth(found: Sequence[DatasetReport]) -> list[tuple[str, int]]:
    """Packed bytes of the stored files of all datasets up to each session."""
    sizes = Counter[date]()
    for one in found:
        sizes.update({day.day: day.bytes for day in one.days if day.is_stored})
    days = sorted(sizes)
    return list(zip(map(str, days), accumulate(sizes[day] for day in days), strict=True))


def _chart(drawn: Charts) -> Mapping[str, Any]:
    """What the charts' script needs of a dataset."""
    tickers = [{**one, "note": words.unadjusted(drawn.dataset, one["adjusts"])} for one in drawn.tickers]
    return {"dataset": drawn.dataset.short, "dates": drawn.dates, "tickers": tickers}


def _kinds(found: Sequence[DatasetReport]) -> list[str]:
    """Kinds of findings, those of this version first: a cache may hold others."""
    return list(dict.fromkeys([*KINDS, *(kind for one in found for kind in one.examples)]))


def _totals(found: Sequence[DatasetReport]) -> Mapping[str, Any]:
    """Sums over all datasets; `newest` is the newest stored session of any."""
    states = [one.status for one in found]
    return {
        "newest": max((state.last for state in states if state.last), default=None),
        "stored": sum(day.is_stored for one in found for day in one.days),
        "rows": sum(state.source_rows for state in states),
        "packed": sum(day.bytes for one in found for day in one.days),
        "disk": sum(tier.bytes for state in states for tier in state.tiers),
        "changes": sum(one.changes.count for one in found),
        "refused": sum(len(state.quarantine) for state in states),
    }


def _days(parts: Sequence[Part]) -> Sequence[Mapping[str, Any]]:
    kinds = _kinds([part.found for part in parts])
    return [details(part.calendar, kinds) for part in parts]


def _runs(found: Sequence[DatasetReport]) -> list[Mapping[str, Any]]:
    """The newest runs of all datasets, each with its dataset and its speed as a share of the fastest one's."""
    runs = [{**run, "dataset": one.dataset.short, "told": words.summary(run)} for one in found for run in one.runs]
    newest = sorted(runs, key=lambda run: run["run"], reverse=True)[:_RUNS]
    newest = [{**run, "speed": words.speed(run["told"])} for run in newest]
    fastest = max((run["speed"] or 0 for run in newest), default=0) or 1
    return [{**run, "share": (run["speed"] or 0) / fastest} for run in newest]


def _filled(template: str, data: Mapping[str, Any], scripts: Sequence[str], **values: Any) -> bytes:
    environment, texts = _environment(), [_read(name) for name in scripts]
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in texts)
    filled = environment.get_template(template).render(
        data=_json(data),
        css=_read("page.css"),
        hashes=hashes,
        scripts=texts,
        now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **values,
    )
    return filled.encode()


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
        raise UsageError(MISSING) from error
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "size": size,
        "counted": counted,
        "short": words.short,
        "moment": words.moment,
        "ending": words.ending,
    }
    made.globals |= {"labels": words.LABELS, "signs": SIGNS}
    return made
