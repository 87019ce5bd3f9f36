"""Migrations of the tables with what Yahoo said."""

QUOTES = """
CREATE TABLE yahoo_rows (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,                     -- as Massive spells it
    session TEXT NOT NULL,
    open REAL,                                -- all prices as traded
    high REAL,
    low REAL,
    close REAL,
    volume REAL,                              -- in shares as traded
    asked_at TEXT NOT NULL,
    PRIMARY KEY (dataset, ticker, session)
) WITHOUT ROWID;
CREATE TABLE actions (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,
    ex_date TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('split', 'dividend')),
    value REAL NOT NULL,                      -- new shares for one old; or cash for a share as traded then
    close_before REAL,                        -- as traded, of the session before the ex-date
    PRIMARY KEY (dataset, ticker, ex_date, kind)
) WITHOUT ROWID;
ALTER TABLE projections ADD COLUMN yahoo INTEGER NOT NULL DEFAULT 0;  -- whether its CSV was made with such rows
CREATE TABLE askings (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,
    known INTEGER NOT NULL,                   -- whether Yahoo has this ticker
    first TEXT NOT NULL,                      -- actions are known from here ...
    last TEXT NOT NULL,                       -- ... to here
    asked_at TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (dataset, ticker)
) WITHOUT ROWID;
"""

BY_SESSION = "CREATE INDEX yahoo_rows_by_session ON yahoo_rows (dataset, session);"

# Earlier versions read corporate actions from yfinance's table, which may date them a day early and has no capital
# gains. Refusals that they stored may be due to an outage, or about days that nobody asked for. All of it is deleted,
# and asked for again.
EVENTS = """
CREATE TABLE events (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,
    ex_date TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('split', 'dividend', 'gain')),
    value REAL NOT NULL,                      -- new shares for one old; or cash for a share as traded then
    close_before REAL,                        -- of the session before, for a share before the splits of the ex-date
    kept REAL,                                -- the share of its value that a security keeps, where Yahoo has another
    PRIMARY KEY (dataset, ticker, ex_date, kind)
) WITHOUT ROWID;
DROP TABLE actions;
ALTER TABLE events RENAME TO actions;
CREATE TABLE instruments (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,
    instrument TEXT NOT NULL,                 -- Yahoo's type of the security: EQUITY, ETF, MUTUALFUND
    PRIMARY KEY (dataset, ticker)
) WITHOUT ROWID;
DROP TABLE askings;
CREATE TABLE askings (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,
    first TEXT NOT NULL,                      -- actions are known from here ...
    last TEXT NOT NULL,                       -- ... to here
    asked_at TEXT NOT NULL,
    begins TEXT,                              -- the first row that Yahoo has since `first`
    PRIMARY KEY (dataset, ticker)
) WITHOUT ROWID;
CREATE TABLE refusals (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,
    first TEXT NOT NULL,                      -- asked for from here; what Yahoo said of the days from here ...
    last TEXT NOT NULL,                       -- ... to here cannot be used
    reason TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    PRIMARY KEY (dataset, ticker, first)
) WITHOUT ROWID;
"""

# Earlier versions recorded days as asked for without storing the rows of these days.
ODD = """
DELETE FROM askings;
CREATE TABLE events (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,
    ex_date TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('split', 'dividend', 'gain', 'odd')),
    value REAL NOT NULL,                      -- new shares for one old; or cash for a share as traded then
    close_before REAL,                        -- of the session before, for a share before the splits of the ex-date
    kept REAL,                                -- the share of its value that a security keeps, where Yahoo has another
    PRIMARY KEY (dataset, ticker, ex_date, kind)
) WITHOUT ROWID;
INSERT INTO events SELECT dataset, ticker, ex_date, kind, value, close_before, kept FROM actions;
DROP TABLE actions;
ALTER TABLE events RENAME TO actions;
"""
