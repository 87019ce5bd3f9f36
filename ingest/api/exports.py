"""Files for other programs."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ingest import events, settings
from ingest.api.progress import reported
from ingest.errors import WrongArgument
from ingest.settings import arguments
from ingest.settings.arguments import parse_days, parse_file, parse_names

if TYPE_CHECKING:
    from ingest.market.adjust import Adjust
    from ingest.reading.adjusting.actions import Errors
    from ingest.reading.export.files import Exported
    from ingest.reading.export.form import Format, Shape


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
    tracked: bool = False,
    format: "Format" = "csv",
    shape: "Shape" = "files",
    name: str | None = None,
    columns: str | Iterable[str] | None = None,
    source: bool = True,
    actions: bool = False,
    overwrite: bool = False,
    interval: str | None = None,
    prepost: bool = False,
    errors: "Errors" = "raise",
    on_event: events.Sink = events.ignore,
    progress: bool | None = None,
) -> "tuple[Exported, ...]":
    """Write the stored rows of tickers into the folder `out`, as `ingest export` does.

    `tickers` may be patterns, and empty with `tracked`, which adds all tickers and patterns on the lists. Returns the
    written files, each with `ticker` (None if it has several), `path` and `rows`; tickers without rows are named in a
    warning. Each file is written as a whole: a kill leaves the old one or the new one.

    `shape` "files" is one file a ticker: `AAPL_1d.csv` (or `.parquet`) with the columns date, time (intraday bars
    only), open, high, low, close, volume and source, in Parquet after ticker. "long" is one file `prices_1d.csv` with
    all rows and the column ticker; "wide" is one file for each of `columns`, by default `close_1d.csv`, with a row a
    date and a column a ticker. Types, units and adjustments are those of `history`, whose arguments these are; rows are
    sorted by ticker and time. `columns` chooses columns and their order, `source=False` leaves out the source.

    `actions` adds dividend (Float64: cash, also of capital gains, per share as the prices are: as traded, or of today
    if adjusted; 0 if none) and split (Float64: new shares for an old one; 1 if none), each in the row of its ex-date,
    or in the next one with a warning.

    `name` is a template for names without the extension, such as "{ticker}", of the fields ticker, column, interval and
    adjust ("none", "splits", "all"). Without it, names end in `_splits` or `_adjusted` if prices are adjusted. A file
    that has prices of another adjustment or interval is a UsageError, unless `overwrite`: `.ingest-export.json` in the
    folder says what the files have, and so does Parquet's metadata (`ingest.adjust`, `ingest.interval`,
    `ingest.dataset`).

    `dataset` names the market (by its day or minute bars); by default the tickers' prefixes decide. `interval` is "1d"
    (by default that of the dataset, else "1d"), "1wk" or "1mo", or "1m", "2m", "5m", "15m", "30m", "1h" or "90m"; bars
    of less than a day are built from minutes, those of extended hours only with `prepost` (see `get_smart_data`).

    Raises UsageError, NotFound if no ticker has rows, CacheError if the folder cannot be written, and what `history`
    raises.
    """
    from ingest.market.catalogue import interval_of
    from ingest.reading.export.files import write_files
    from ingest.reading.export.form import Form, complete
    from ingest.reading.selection import Selection, selected_rows

    if not str(out):
        raise WrongArgument("out", "must name a folder")
    names = None if columns is None else tuple(parse_names("columns", columns))
    form = Form(format, shape, name, names, source, actions=actions, overwrite=overwrite)
    query = Selection(
        arguments.parse_tickers("tickers", tickers),
        *parse_days(start, end),
        adjust=adjust,
        across_gaps=across_seams,
        market=dataset,
        interval=interval_of(dataset, interval),
        prepost=prepost,
        errors=errors,
        fetch=fetch,
    )
    chosen = settings.load(parse_file(config))
    query = complete(chosen, query, form, tracked)
    with reported(on_event, progress) as told:
        rows = selected_rows(chosen, query, told)
    return write_files(rows, query, form, Path(out))
