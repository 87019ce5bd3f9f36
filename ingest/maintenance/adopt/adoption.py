"""What became of the files that were to be adopted, as values."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from ingest.hints import Hint

Verdict = Literal["adopted", "held", "quarantined", "others only", "not raw", "unreadable", "ignored"]

LEFT_ALONE: Collection[Verdict] = ("quarantined", "others only", "not raw", "unreadable")
"""Verdicts on days and tickers that did not get into the cache; "ignored" files are neither."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """What happened to one file.

    `path` is relative to the adopted folder, and printable. `session` is the date of a daily file, `ticker` that of a
    CSV; the other is None, and both are None for any other file. `verdict` is "adopted", "held" (already stored),
    "quarantined" (refused, and its bytes copied, as for a download), "others only" (a day without some tickers), "not
    raw" (a CSV, whose rows are never adopted), "unreadable" or "ignored", and `reason` explains it. `md5` is the ETag
    of an adopted day if its bytes are packed like the vendor's, else None. `hints` say what to do, as values. `dataset`
    is the short name of the dataset of a daily file in a mirror.
    """

    path: str
    session: date | None
    ticker: str | None
    verdict: Verdict
    reason: str
    md5: str | None = None
    hints: tuple[Hint, ...] = ()
    dataset: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of files by verdict; `with_md5` of the adopted ones have an ETag to compare with a listing.

    `left` is the first and the last session of the days that were not adopted, None if there are none; `datasets` are
    the short names of theirs, in a mirror. `interrupted` says that the user stopped it; another call continues.
    """

    counts: Mapping[Verdict, int]
    with_md5: int
    left: tuple[date, date] | None
    interrupted: bool = False
    datasets: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """130 if interrupted, 3 if a day or a ticker was not adopted, else 0."""
        if self.interrupted:
            return 130
        return 3 if any(self.counts.get(verdict) for verdict in LEFT_ALONE) else 0


def tally(told: Sequence[Adoption], *, interrupted: bool = False) -> Summary:
    """The numbers of these files."""
    left = [one for one in told if one.session and one.verdict in LEFT_ALONE]
    days = [one.session for one in left if one.session]
    counts: Counter[Verdict] = Counter(one.verdict for one in told)
    datasets = tuple(sorted({one.dataset for one in left if one.dataset}))
    span = (min(days), max(days)) if days else None
    with_md5 = sum(one.md5 is not None for one in told)
    return Summary(dict(counts), with_md5, span, interrupted, datasets)
