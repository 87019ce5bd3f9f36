"""The commands that return rows."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from ingest.cli.app import completing
from ingest.cli.app.options import (
    OUTPUT,
    WINDOW,
    AcrossSeams,
    Adjusted,
    Config,
    Dataset,
    DatasetOfTicker,
    End,
    First,
    HeldDatasets,
    Interval,
    Json,
    Prepost,
)
from ingest.cli.app.root import app
from ingest.cli.output import Deed

if TYPE_CHECKING:
    from ingest.market.adjust import Adjust
    from ingest.reading.export.form import Format, Shape


@app.command()
def show(
    ticker: Annotated[
        str,
        typer.Argument(
            metavar="TICKER",
            autocompletion=completing.tickers,
            help="As the vendor spells it: AAPL, BRK.B, BACpL.",
        ),
    ],
    dataset: DatasetOfTicker = None,
    period: Annotated[
        str | None,
        typer.Option(
            "--period",
            "-p",
            metavar="PERIOD",
            autocompletion=completing.words_of(completing.PERIODS),
            rich_help_panel=WINDOW,
            help="Back from today: 5d, 2wk, 6mo, 1y, ytd, max, or another number. (default: 6mo; within days 5d; in "
            "weeks or months 2y)",
        ),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", rich_help_panel=WINDOW, help="First day, in place of --period."
        ),
    ] = None,
    end: End = None,
    data_source: Annotated[
        Literal["massive", "yfinance"],
        typer.Option(help="massive: stored or downloaded rows, Yahoo for the rest; yfinance: only Yahoo."),
    ] = "massive",
    interval: Interval = None,
    prepost: Prepost = False,
    adjust: Annotated[
        Literal["none", "splits", "all"] | None,
        typer.Option(
            help="Prices as traded, adjusted for splits, or for splits and dividends. (default: all; as traded if no "
            "splits and dividends are known)"
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            rich_help_panel=OUTPUT,
            help="Print the last N rows; 0: all. (default: 10 in a table, else all)",
        ),
    ] = None,
    plot: Annotated[
        bool | None,
        typer.Option("--plot/--no-plot", rich_help_panel=OUTPUT, help="Draw a chart. (default: on a terminal)"),
    ] = None,
    csv: Annotated[
        bool, typer.Option("--csv", rich_help_panel=OUTPUT, help="Print only the rows, all of them, as CSV.")
    ] = False,
    json: Annotated[
        bool,
        typer.Option("--json", rich_help_panel=OUTPUT, help="Print rows, sources and measures as one JSON object."),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", rich_help_panel=OUTPUT, help="Only write a file with a chart for a browser."
        ),
    ] = None,
    across_seams: Annotated[
        bool, typer.Option("--across-seams", help="Adjust across a gap of months, as for one company.")
    ] = False,
    no_fetch: Annotated[bool, typer.Option("--no-fetch", help="Show only what is stored; ask no source.")] = False,
    config: Config = None,
) -> None:
    """Show a ticker's rows, where they came from, its return, volatility and volume, and a chart.

    Missing days are downloaded from Massive, each file once for all tickers; Yahoo fills what is missing.
    """
    from ingest.cli.commands.reading.show import Display, ShowQuery, show_command
    from ingest.market.catalogue import interval_of

    interval = interval_of(dataset, interval)
    wish = ShowQuery(
        ticker=ticker,
        period=period or _usual_period(interval),
        start=start.date() if start else None,
        end=end.date() if end else None,
        data_source=data_source,
        adjust=adjust or "all",
        fetch=not no_fetch,
        across_seams=across_seams,
        market=dataset,
        interval=interval,
        prepost=prepost,
        or_as_traded=adjust is None and not csv,  # CSV has no place to say it
    )
    raise typer.Exit(show_command(wish, Display(rows, plot, csv, json, html), config))


def _usual_period(interval: str) -> str:
    return {"1d": "6mo", "1wk": "2y", "1mo": "2y"}.get(interval, "5d")


@app.command()
def tickers(
    dataset: Dataset = None,
    min_dollar_volume: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="Only with a median of close × volume of at least 5M, 250k, 1e6."),
    ] = None,
    listed_on: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="Only with a row on that session; numbers are those of the sessions up to it.",
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the N with the highest median, highest first.")
    ] = None,
    newest: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Count only the last N stored sessions. (default: all)")
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            rich_help_panel=OUTPUT,
            help="Print the first N rows; 0: all. (default: 50 in a table, else all)",
        ),
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show the stored tickers: since when, until when, and the median of their daily dollar volume."""
    from ingest.cli.commands.reading.tickers import tickers_command
    from ingest.reading.tickers import TickersQuery

    query = TickersQuery(None, listed_on.date() if listed_on else None, top, newest)
    raise typer.Exit(tickers_command(dataset, query, min_dollar_volume, config, rows=rows, as_json=json))


@app.command()
def export(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder to write to; files there are replaced.")
    ],
    tickers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TICKER…]",
            autocompletion=completing.tickers,
            help="Tickers, as the vendor spells them, or patterns: O:SPY, X:*-USD.",
        ),
    ] = None,
    tracked: Annotated[bool, typer.Option("--tracked", help="All tickers and patterns on your lists.")] = False,
    dataset: DatasetOfTicker = None,
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="csv|parquet",
            autocompletion=completing.words_of(("csv", "parquet")),
            rich_help_panel=OUTPUT,
            help="The kind of file.",
        ),
    ] = "csv",
    shape: Annotated[
        str,
        typer.Option(
            metavar="files|long|wide",
            autocompletion=completing.words_of(("files", "long", "wide")),
            rich_help_panel=OUTPUT,
            help="One file a ticker; one file with all rows; or one with a column a ticker, of closes or --columns.",
        ),
    ] = "files",
    name: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            rich_help_panel=OUTPUT,
            help='Names of files, such as "{ticker}"; fields: ticker, column, interval, adjust. (default: AAPL_1d, '
            "AAPL_1d_splits, AAPL_1d_adjusted)",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            rich_help_panel=OUTPUT,
            help="The columns, in this order: ticker, date, time, open, high, low, close, volume, transactions, "
            "source, dividend, split. (default: date to source; in Parquet with ticker)",
        ),
    ] = None,
    source: Annotated[
        bool, typer.Option("--source/--no-source", rich_help_panel=OUTPUT, help="With or without the column source.")
    ] = True,
    actions: Annotated[
        bool,
        typer.Option("--actions", rich_help_panel=OUTPUT, help="Add dividends (cash) and splits (new shares for one)."),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", rich_help_panel=OUTPUT, help="Replace files of another adjustment or interval."),
    ] = False,
    start: First = None,
    end: End = None,
    adjust: Adjusted = "none",
    interval: Interval = None,
    prepost: Prepost = False,
    across_seams: AcrossSeams = False,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out tickers that cannot be adjusted, and say which.")
    ] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Write the stored rows of tickers as files for other programs: as traded, or adjusted."""
    from ingest.cli.commands.reading.export import export_command
    from ingest.market.catalogue import interval_of
    from ingest.reading.export.form import Form
    from ingest.reading.selection import Selection

    query = Selection(
        tickers or [],
        start.date() if start else None,
        end.date() if end else None,
        adjust=cast("Adjust", adjust),
        across_gaps=across_seams,
        market=dataset,
        interval=interval_of(dataset, interval),
        prepost=prepost,
        errors="skip" if skip_unknown else "raise",
    )
    form = Form(
        kind=cast("Format", kind),
        shape=cast("Shape", shape),
        name=name,
        columns=None if columns is None else tuple(one.strip() for one in columns.split(",") if one.strip()),
        source=source,
        actions=actions,
        overwrite=overwrite,
    )
    raise typer.Exit(Deed(export_command(query, form, out, config, tracked=tracked, as_json=json)))


@app.command()
def chain(
    underlying: Annotated[
        str,
        typer.Argument(metavar="UNDERLYING", help="The root of its options: SPY, BRKB; SPY1 for adjusted contracts."),
    ],
    on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="The session. (default: the newest stored one)"),
    ] = None,
    expiry: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Only contracts that expire on that day."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object per line for each contract.")
    ] = False,
    config: Config = None,
) -> None:
    """List the options contracts of an underlying that traded in a session, from the stored files of options-day."""
    from ingest.cli.commands.reading.chain import chain_command

    days = (on.date() if on else None, expiry.date() if expiry else None)
    raise typer.Exit(chain_command(underlying, *days, json, config))


@app.command()
def report(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="The file to write; it is replaced. (default: that of \\[report] path, or ingest-report.html)",
        ),
    ] = None,
    opens: Annotated[bool, typer.Option("--open", rich_help_panel=OUTPUT, help="Open it in the browser.")] = False,
    dataset: HeldDatasets = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Write one HTML file to look at: a calendar of each dataset, the last runs, what the vendor changed, findings.

    The file requests nothing when it is opened.
    """
    from ingest.cli.commands.reading.report import report_command

    raise typer.Exit(Deed(report_command(dataset or [], out, opens, json, config)))
