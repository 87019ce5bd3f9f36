"""Files for other programs."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ingest import events, settings
from ingest.settings import arguments
from ingest.settings.arguments import parse_days, parse_file

if TYPE_CHECKING:
    from ingest.market.adjust import Adjust
    from ingest.reading.adjusting.actions import Errors
    from ingest.reading.export.files import Exported


def export(
    tickers: str | Iterable[str],
    out: Path | str,
    start: date | str | None = None,
    end: date | str | None = None,
    adjust: "Adjust" = "none",
    fetch: bool = True,
    across_seams: bool = False,
    config: Path | str | None = None,
    dataset: str | None = None,
    *,
    format: Literal["csv", "parquet"] = "csv",
    interval: str | None = None,
    prepost: bool = False,
    errors: "Errors" = "raise",
    on_event: events.Sink = events.ignore,
) -> "tuple[Exported, ...]":
    """Write the stored rows of tickers into the folder `out`, one file each, as `ingest export` does.

    Returns the written files by ticker, each with `ticker`, `path` and `rows`; tickers without rows have none, and are
    named in a warning. `AAPL_1d.csv` (or `.parquet`) has the columns date, time (intraday bars only), open, high, low,
    close, volume and source, with the types, units and adjustments of `history`, whose arguments these are. Each file
    is written as a whole: a kill leaves the old one or the new one.

    `dataset` names the market (by its day or minute bars); by default the tickers' prefixes decide. `interval` is "1d"
    (by default that of the dataset, else "1d"), "1wk" or "1mo", or "1m", "2m", "5m", "15m", "30m", "1h" or "90m"; bars
    of less than a day are built from minutes, those of extended hours only with `prepost` (see `get_smart_data`).

    Raises UsageError, NotFound if no ticker has rows, CacheError if the folder cannot be written, and what `history`
    raises.
    """
    from ingest.market.catalogue import interval_of
    from ingest.reading.export.files import write_files
    from ingest.reading.selection import Selection, selected_rows

    wanted, window = arguments.parse_tickers("tickers", tickers), parse_days(start, end)
    query = Selection(
        wanted,
        *window,
        adjust=adjust,
        across_gaps=across_seams,
        market=dataset,
        interval=interval_of(dataset, interval),
        prepost=prepost,
        errors=errors,
        fetch=fetch,
    )
    rows = selected_rows(settings.load(parse_file(config)), query, on_event)
    return write_files(rows, wanted, Path(out), format, query.interval)
