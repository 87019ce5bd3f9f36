"""The commands that return rows."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from ingest.cli.app.options import (
    OUTPUT,
    WINDOW,
    AcrossSeams,
    Adjusted,
    Config,
    DatasetOfTicker,
    Datasets,
    End,
    First,
    Interval,
    Json,
    Prepost,
)
from ingest.cli.app.root import app
from ingest.cli.output import Deed

if TYPE_CHECKING:
    from ingest.market.adjust import Adjust


@app.command()
def show(
    ticker: Annotated[str, typer.Argument(metavar="TICKER", help="As the vendor spells it: AAPL, BRK.B, BACpL.")],
    dataset: DatasetOfTicker = None,
    period: Annotated[
        str | None,
        typer.Option(
            "--period",
            "-p",
            metavar="PERIOD",
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
        int, typer.Option(min=0, metavar="N", rich_help_panel=OUTPUT, help="Print the last N rows; 0: all.")
    ] = 10,
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
def export(
    tickers: Annotated[
        list[str],
        typer.Argument(metavar="TICKER…", help="Tickers, as the vendor spells them, or patterns: O:SPY, X:*-USD."),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder to write to; files there are replaced.")
    ],
    dataset: DatasetOfTicker = None,
    kind: Annotated[str, typer.Option("--format", metavar="csv|parquet", help="The kind of file.")] = "csv",
    start: First = None,
    end: End = None,
    adjust: Adjusted = "none",
    interval: Interval = None,
    prepost: Prepost = False,
    across_seams: AcrossSeams = False,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out tickers that cannot be adjusted, and say which.")
    ] = False,
    config: Config = None,
) -> None:
    """Write the stored rows of tickers, one file each: as traded, or adjusted."""
    from ingest.cli.commands.reading.export import export_command
    from ingest.market.catalogue import interval_of
    from ingest.reading.selection import Selection

    query = Selection(
        tickers,
        start.date() if start else None,
        end.date() if end else None,
        adjust=cast("Adjust", adjust),
        across_gaps=across_seams,
        market=dataset,
        interval=interval_of(dataset, interval),
        prepost=prepost,
        errors="skip" if skip_unknown else "raise",
    )
    raise typer.Exit(Deed(export_command(query, kind, out, config)))


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
    dataset: Datasets = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Write one HTML file to look at: a calendar of each dataset, the last runs, what the vendor changed, findings.

    Without --dataset it covers the datasets of the settings, and all others with stored sessions. The file requests
    nothing when it is opened.
    """
    from ingest.cli.commands.reading.report import report_command

    raise typer.Exit(Deed(report_command(dataset or [], out, opens, json, config)))
