"""Yahoo through yfinance: what steps in where Massive has nothing."""

import logging
import warnings
from datetime import date, timedelta

from ingest.errors import Disrupted
from ingest.sessions import today

PROBED = "SPY"
"""A ticker that trades on each session."""


def newest_session() -> date:
    """The newest session that Yahoo has of a well-known ticker, asked for once; raises Disrupted."""
    import yfinance

    # What goes wrong is raised: yfinance would log it, and hand out nothing, as if there were no such ticker.
    yfinance.config.debug.hide_exceptions = False
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of yfinance's own use of pandas
            rows = yfinance.Ticker(PROBED).history(start=today() - timedelta(days=10), actions=False)
    except Exception as error:  # yfinance passes on whatever its transport and its parsers raise
        raise Disrupted(f"{type(error).__name__}: {str(error).split(' See http')[0]}") from error
    if rows.empty:
        raise Disrupted(f"it has no rows of {PROBED}")
    newest: date = rows.index[-1].date()
    return newest
