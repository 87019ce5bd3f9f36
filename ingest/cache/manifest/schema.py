"""The manifest's tables, and the migrations that bring an older manifest up to date.

Migrations and the version that they reach are committed together, so a killed migration never happened.
"""

import sqlite3
from pathlib import Path

from ingest.errors import CacheError, ManifestDamaged

_FIRST = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    dataset TEXT NOT NULL,
    window_start TEXT NOT NULL,
    window_end TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    pid INTEGER NOT NULL,
    exit_code INTEGER,
    summary TEXT
);
CREATE TABLE tracked_sets (
    id INTEGER PRIMARY KEY,
    tickers TEXT NOT NULL UNIQUE              -- one a line, sorted
);
CREATE TABLE sessions (
    dataset TEXT NOT NULL,
    session TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT 'none' CHECK (held IN ('none', 'committed', 'quarantined')),
    remote TEXT CHECK (remote IN ('listed', 'forbidden', 'unpublished', 'absent', 'holiday', 'failed')),
    reason TEXT,                              -- in words, where remote or held needs them
    remote_etag TEXT,                         -- what the last answer, or the quarantine, was about
    etag TEXT,                                -- of the bytes held
    size INTEGER,
    last_modified TEXT,
    source_rows INTEGER,
    tracked_rows INTEGER,
    archive_rows INTEGER,
    dropped_rows INTEGER,
    text_sha256 TEXT,
    tracked_sha256 TEXT,
    archive_sha256 TEXT,
    tracked_row_numbers BLOB,                 -- uint32, little-endian, ascending, the first row is 0
    tracked_set INTEGER REFERENCES tracked_sets (id),
    archive_kept INTEGER,
    cut TEXT CHECK (cut IN ('lines', 'polars')),
    columns TEXT,                             -- JSON list, in the file's order
    findings TEXT,                            -- JSON list
    projected INTEGER NOT NULL DEFAULT 0,
    committed_at TEXT,
    run INTEGER REFERENCES runs (run),
    PRIMARY KEY (dataset, session)
);
CREATE TABLE members (
    dataset TEXT NOT NULL,
    session TEXT NOT NULL,
    tier TEXT NOT NULL CHECK (tier IN ('tracked', 'archive')),
    member_index BLOB NOT NULL,               -- JSON: offsets, first tickers, sorted
    PRIMARY KEY (dataset, session, tier)
);
CREATE TABLE projections (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,
    active INTEGER NOT NULL,                  -- in the lists of the last run
    dirty INTEGER NOT NULL,
    first TEXT,
    last TEXT,
    rows INTEGER,                             -- NULL until it was made once
    sha256 TEXT,
    size INTEGER,
    mtime_ns INTEGER,
    PRIMARY KEY (dataset, ticker)
);
CREATE TABLE intents (
    dataset TEXT NOT NULL,
    session TEXT NOT NULL,
    record TEXT NOT NULL,                     -- JSON: the row that the session is to have
    correction TEXT,                          -- JSON: the difference, where the text differs
    PRIMARY KEY (dataset, session)
);
CREATE TABLE corrections (
    id INTEGER PRIMARY KEY,
    dataset TEXT NOT NULL,
    session TEXT NOT NULL,
    old_etag TEXT,
    new_etag TEXT,
    columns TEXT NOT NULL,
    removed TEXT NOT NULL,                    -- JSON list of the lines that are no longer in the file
    added TEXT NOT NULL,                      -- JSON list of the lines that are new in it
    run INTEGER REFERENCES runs (run),
    at TEXT NOT NULL
);
"""

_PERMISSION = """
CREATE TABLE permission_windows (
    dataset TEXT PRIMARY KEY,
    first TEXT,                               -- sessions from here ...
    last TEXT,                                -- ... to here are allowed
    below TEXT,                               -- those up to here are refused
    above TEXT,                               -- and so are those from here on
    asked_at TEXT NOT NULL
);
"""

_QUOTES = """
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

_TRUST = """
CREATE TABLE findings (
    dataset TEXT NOT NULL,
    session TEXT NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    examples TEXT NOT NULL,                   -- JSON list
    PRIMARY KEY (dataset, session, kind)
) WITHOUT ROWID;
WITH told AS (
    SELECT dataset, session, value,
        CASE WHEN instr(value, ': ') THEN substr(value, 1, instr(value, ': ') - 1) ELSE value END AS kind,
        CASE WHEN instr(value, ': ') THEN substr(value, instr(value, ': ') + 2) END AS what
    FROM sessions, json_each(sessions.findings) WHERE held = 'committed'
)
INSERT INTO findings SELECT dataset, session, kind,
    CASE WHEN kind LIKE 'rows %' THEN CAST(max(what) AS INTEGER) ELSE count(*) END,
    CASE WHEN kind LIKE 'rows %' OR max(what) IS NULL THEN '[]' ELSE json_group_array(what) END
FROM told GROUP BY dataset, session, kind;
ALTER TABLE sessions DROP COLUMN findings;
UPDATE intents SET record = json_set(record, '$.findings', json((
    SELECT json_group_array(json_object('kind', kind, 'count', number, 'examples', json(examples))) FROM (
        SELECT kind, CASE WHEN kind LIKE 'rows %' THEN CAST(max(what) AS INTEGER) ELSE count(*) END AS number,
            CASE WHEN kind LIKE 'rows %' OR max(what) IS NULL THEN '[]' ELSE json_group_array(what) END AS examples
        FROM (
            SELECT CASE WHEN instr(value, ': ') THEN substr(value, 1, instr(value, ': ') - 1) ELSE value END AS kind,
                CASE WHEN instr(value, ': ') THEN substr(value, instr(value, ': ') + 2) END AS what
            FROM json_each(intents.record, '$.findings')
        ) GROUP BY kind
    )
)));
CREATE TABLE quarantine (
    dataset TEXT NOT NULL,
    session TEXT NOT NULL,
    etag TEXT NOT NULL,                       -- of the bytes that are kept
    size INTEGER,
    last_modified TEXT,
    reason TEXT NOT NULL,
    acceptable INTEGER NOT NULL,              -- whether it can be read, and was held back for what it would take away
    run INTEGER REFERENCES runs (run),
    at TEXT NOT NULL,
    PRIMARY KEY (dataset, session)
) WITHOUT ROWID;
INSERT INTO quarantine SELECT dataset, session, remote_etag, NULL, NULL, coalesce(reason, ''), 0, run,
    strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now')
FROM sessions WHERE remote_etag IS NOT NULL AND (held = 'quarantined'
    OR (held = 'committed' AND remote = 'listed' AND reason IS NOT NULL AND etag IS NOT remote_etag));
ALTER TABLE corrections ADD COLUMN kind TEXT NOT NULL DEFAULT 'new etag';
ALTER TABLE corrections ADD COLUMN old_columns TEXT;  -- JSON list; those of the lines removed, where they are others
"""

_MONTHS = """
CREATE TABLE csvs (
    dataset TEXT NOT NULL,
    ticker TEXT NOT NULL,
    period TEXT NOT NULL DEFAULT '',          -- the month of a CSV of minutes; '' is then the ticker with all of them
    active INTEGER NOT NULL,                  -- in the lists of the last run
    dirty INTEGER NOT NULL,
    first TEXT,
    last TEXT,
    rows INTEGER,                             -- NULL until it was made once
    sha256 TEXT,
    size INTEGER,
    mtime_ns INTEGER,
    yahoo INTEGER NOT NULL DEFAULT 0,         -- whether it was made with rows of Yahoo's
    PRIMARY KEY (dataset, ticker, period)
);
INSERT INTO csvs SELECT dataset, ticker, '', active, dirty, first, last, rows, sha256, size, mtime_ns, yahoo
    FROM projections;
DROP TABLE projections;
ALTER TABLE csvs RENAME TO projections;
"""

_PATTERNS = """
CREATE TABLE patterns (
    dataset TEXT NOT NULL,
    pattern TEXT NOT NULL,                    -- of the lists; its tickers are known in all sessions that are projected
    PRIMARY KEY (dataset, pattern)
) WITHOUT ROWID;
"""

_BY_SESSION = "CREATE INDEX yahoo_rows_by_session ON yahoo_rows (dataset, session);"

_SOURCE = """
CREATE TABLE source (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,                       -- endpoint and bucket of what is held, or [source] same_as
    since TEXT NOT NULL
);
ALTER TABLE quarantine ADD COLUMN sha256 TEXT;  -- of the bytes that are kept; of those of older versions not known
"""

# Earlier versions read corporate actions from yfinance's table, which may date them a day early and has no capital
# gains. Refusals that they stored may be due to an outage, or about days that nobody asked for. All of it is deleted,
# and asked for again.
_EVENTS = """
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

_FORMAT = """
ALTER TABLE projections ADD COLUMN format INTEGER NOT NULL DEFAULT 0;  -- of the file, see projection.FORMAT
UPDATE projections SET dirty = 1 WHERE active AND sha256 IS NOT NULL;
"""

# Earlier versions recorded days as asked for without storing the rows of these days.
_ODD = """
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

_DISMISSED = "ALTER TABLE quarantine ADD COLUMN dismissed TEXT;"  # when somebody dismissed these bytes

_PRUNED = """
CREATE TABLE prunings (
    dataset TEXT PRIMARY KEY,
    before TEXT NOT NULL                      -- sessions before this date were forgotten; their files are being removed
) WITHOUT ROWID;
"""

MIGRATIONS = (
    _FIRST,
    _PERMISSION,
    _QUOTES,
    _TRUST,
    _MONTHS,
    _PATTERNS,
    _BY_SESSION,
    _SOURCE,
    _EVENTS,
    _FORMAT,
    _ODD,
    _DISMISSED,
    _PRUNED,
)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a manifest to the current version; raises CacheError for a newer one, which stays untouched."""
    if steps := MIGRATIONS[version_of(connection, path) :]:
        connection.executescript(f"BEGIN IMMEDIATE;{''.join(steps)}PRAGMA user_version = {len(MIGRATIONS)};COMMIT;")


def is_current(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a manifest has the current version; raises CacheError for a newer one."""
    return version_of(connection, path) == len(MIGRATIONS)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Version of a manifest; raises CacheError for a newer one, ManifestDamaged for an impossible one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version < 0:
        raise ManifestDamaged(path, f"format {version}")
    if version > len(MIGRATIONS):
        raise CacheError(
            f"the manifest {path} was written by a newer version of ingest (format {version}, this one knows "
            f"{len(MIGRATIONS)}): update ingest, or point [cache] root to another folder"
        )
    return version
