"""The manifest's tables, as the migrations that made them."""

from ingest.cache.manifest.file import yahoo_tables

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

_SOURCE = """
CREATE TABLE source (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,                       -- endpoint and bucket of what is held, or [source] same_as
    since TEXT NOT NULL
);
ALTER TABLE quarantine ADD COLUMN sha256 TEXT;  -- of the bytes that are kept; of those of older versions not known
"""

_FORMAT = """
ALTER TABLE projections ADD COLUMN format INTEGER NOT NULL DEFAULT 0;  -- of the file, see projection.FORMAT
UPDATE projections SET dirty = 1 WHERE active AND sha256 IS NOT NULL;
"""

_DISMISSED = "ALTER TABLE quarantine ADD COLUMN dismissed TEXT;"  # when somebody dismissed these bytes

_PRUNED = """
CREATE TABLE prunings (
    dataset TEXT PRIMARY KEY,
    before TEXT NOT NULL                      -- sessions before this date were forgotten; their files are being removed
) WITHOUT ROWID;
"""

_STORES = """
CREATE TABLE identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    manifest TEXT NOT NULL,                   -- a uuid: the writer of an object store is the manifest with its id
    made_at TEXT NOT NULL
);
CREATE TABLE stores (
    url TEXT PRIMARY KEY,                     -- of an object store to which this manifest writes
    generation INTEGER NOT NULL,              -- of its ingest.json, which each takeover raises; 0: not known yet
    token TEXT,                               -- of the pointer to its newest snapshot, as last written
    etag TEXT,                                -- what the store said of that pointer
    writing TEXT,                             -- tokens of pointers whose writing has begun: either may be there
    content TEXT                              -- what was in the snapshot, in short: an equal one is not stored again
) WITHOUT ROWID;
CREATE TABLE objects (
    dataset TEXT NOT NULL,
    name TEXT NOT NULL,                       -- of a part, in its object store
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,                       -- what the store said when the part was put
    PRIMARY KEY (dataset, name)
) WITHOUT ROWID;
"""

_UNWANTED = """
CREATE TABLE unwanted (
    dataset TEXT NOT NULL,
    name TEXT NOT NULL,                       -- of an object that no session refers to
    since TEXT NOT NULL,                      -- when a run first found it so, by the clock of the store
    PRIMARY KEY (dataset, name)
) WITHOUT ROWID;
"""

_PLACE = """
CREATE TABLE place (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    url TEXT NOT NULL,                        -- of the object store with the parts of all datasets; '' for folders
    endpoint TEXT NOT NULL,
    region TEXT NOT NULL,
    profile TEXT NOT NULL,
    tiers TEXT NOT NULL,                      -- 'both', or 'archive': the tracked parts are in their folder
    since TEXT NOT NULL
);
INSERT INTO place SELECT 1, '', '', '', '', 'both', strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now')
    WHERE EXISTS (SELECT 1 FROM sessions WHERE held IS NOT 'none' AND held IS NOT 'quarantined');
CREATE TABLE arrivals (                       -- objects that a move has put, which is not committed yet
    target TEXT NOT NULL,                     -- URL and endpoint
    dataset TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    PRIMARY KEY (target, dataset, name)
) WITHOUT ROWID;
CREATE TABLE departures (                     -- places that the parts have left, and whose copies are to be removed
    url TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    region TEXT NOT NULL,
    profile TEXT NOT NULL,
    tier TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (url, endpoint, tier)
) WITHOUT ROWID;
"""

_LAKE = """
CREATE TABLE lake (
    dataset TEXT NOT NULL,
    partition TEXT NOT NULL,                  -- '2025-11', or '2025-11-11' where each session has a file
    contents TEXT NOT NULL,                   -- hash of what the sessions in the file were made of
    rows INTEGER NOT NULL,
    sha256 TEXT NOT NULL,                     -- of the file
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    format INTEGER NOT NULL,                  -- of the file, see manifest/lake.py
    PRIMARY KEY (dataset, partition)
) WITHOUT ROWID;
"""

_LAKE_PLACE = """
ALTER TABLE lake ADD COLUMN place TEXT NOT NULL DEFAULT '';  -- URL of the object store; '' for the cache's folder
ALTER TABLE lake ADD COLUMN etag TEXT NOT NULL DEFAULT '';   -- what the store said when the object was put
"""

MIGRATIONS = (
    _FIRST,
    _PERMISSION,
    yahoo_tables.QUOTES,
    _TRUST,
    _MONTHS,
    _PATTERNS,
    yahoo_tables.BY_SESSION,
    _SOURCE,
    yahoo_tables.EVENTS,
    _FORMAT,
    yahoo_tables.ODD,
    _DISMISSED,
    _PRUNED,
    _STORES,
    _UNWANTED,
    _PLACE,
    _LAKE,
    _LAKE_PLACE,
)
"""Each brings a manifest from the version that is its position to the next one."""
