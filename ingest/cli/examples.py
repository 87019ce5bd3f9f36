"""What `--help` shows below the options: two examples of each command, and its exit codes."""

EXAMPLES = {
    "": (
        ("ingest demo", "try it without keys"),
        ("ingest run --dry-run", "show what would be downloaded, and why"),
    ),
    "run": (
        ("ingest run --start 2024-03-01 --end 2024-03-31", "download one month"),
        ("ingest run -n -d crypto-day", "show what a run of coins would download"),
    ),
    "check": (
        ("ingest check", "check what a run needs"),
        ("ingest check --notify", "send a test to everybody of [notify]"),
    ),
    "list": (
        ("ingest list --start 2024-03-01 --end 2024-03-31", "list one month"),
        ("ingest list --parts -d stocks-day --json", "the stored parts, for other programs"),
    ),
    "status": (
        ("ingest status", "show what is stored"),
        ("ingest status --max-age 3", "fail when the data is old"),
    ),
    "corrections": (
        ("ingest corrections --ticker AAPL", "what changed for one ticker"),
        ("ingest corrections --start 2024-03-01 --json", "for a program"),
    ),
    "findings": (
        ('ingest findings --kind "low above high"', "one kind of oddity"),
        ("ingest findings --start 2024-03-01 --json", "for a program"),
    ),
    "verify": (
        ("ingest verify --deep", "compare every byte; write nothing"),
        ("ingest verify --repair", "get damaged files back"),
    ),
    "show": (
        ("ingest show AAPL -p 1y --adjust splits", "a year, adjusted for splits"),
        ("ingest show AAPL -i 5m -p 2d", "bars of five minutes"),
    ),
    "tickers": (
        ("ingest tickers --min-dollar-volume 5M", "what is traded for more than 5 million dollars a day"),
        ("ingest tickers --listed-on 2024-03-01 --top 500", "the 500 most traded ones as of a day"),
    ),
    "export": (
        ("ingest export AAPL MSFT --out files", "as CSV, prices as traded"),
        ("ingest export --tracked --out files --format parquet --adjust all", "what you follow, as Parquet, adjusted"),
    ),
    "chain": (
        ("ingest chain SPY", "what traded in the newest stored session"),
        ("ingest chain SPY --on 2025-11-11 --expiry 2025-12-19", "one session, one expiry"),
    ),
    "report": (
        ("ingest report --open", "look at it in the browser"),
        ("ingest report -d stocks-day --out stocks.html", "one dataset, in a file of your choice"),
    ),
    "init": (
        ("ingest init", "answer four questions"),
        ("ingest init --here --tickers AAPL --tickers MSFT --yes", "in this folder, without questions"),
    ),
    "adopt": (
        ("ingest adopt ../old-tool -n", "show what would be adopted"),
        ("ingest adopt /data/flatfiles -d stocks-day -d options-minute", "adopt two datasets of a mirror"),
    ),
    "restore": (
        ("ingest restore", "say whose the object store is, and ask"),
        ("ingest restore --yes --json", "without asking, for a program"),
    ),
    "prune": (
        ("ingest prune", "what could be removed, and its size"),
        ("ingest prune --before 2023-01-01 -n", "what would go with the sessions of earlier years"),
    ),
    "move": (
        ("ingest move -n", "what would be moved to where the settings say"),
        ("ingest move --to local --keep", "back to local folders; the objects stay, too"),
    ),
    "demo": (
        ("ingest demo", "two months of stocks"),
        ("ingest demo -d options-day --objects", "another dataset, its parts in an object store"),
    ),
    "track": (
        ("ingest track add MSFT", "follow a ticker"),
        ("ingest track list", "see what you follow"),
    ),
    "track add": (
        ("ingest track add MSFT BRK.B", "follow two tickers"),
        ('ingest track add "X:*-USD"', "follow all coins in dollars"),
    ),
    "track remove": (
        ("ingest track remove MSFT", "no longer follow a ticker"),
        ("ingest track remove MSFT --delete", "and delete its CSV"),
    ),
    "track list": (
        ("ingest track list", "see what you follow"),
        ("ingest track list -d crypto-day --json", "coins, for a program"),
    ),
    "track import": (
        ("ingest track import mine.txt", "follow all tickers of a file"),
        ("ingest track import mine.txt --list yours.txt", "add them to another list"),
    ),
    "quarantine": (
        ("ingest quarantine list", "list the refused files"),
        ("ingest quarantine show 2025-11-11", "show why one was refused"),
    ),
    "quarantine list": (
        ("ingest quarantine list", "list the refused files"),
        ("ingest quarantine list -d options-day --json", "options, for a program"),
    ),
    "quarantine show": (
        ("ingest quarantine show 2025-11-11", "show why it was refused"),
        ("ingest quarantine show 2025-11-11 -d options-day", "the file of options"),
    ),
    "quarantine retry": (
        ("ingest quarantine retry", "download all of them again"),
        ("ingest quarantine retry 2025-11-11", "download one again"),
    ),
    "quarantine dismiss": (
        ("ingest quarantine dismiss 2025-11-11", "keep it, and end runs with 0 again"),
        ("ingest quarantine dismiss --undo 2025-11-11", "count it again"),
    ),
    "quarantine accept": (
        ("ingest quarantine accept 2025-11-11", "apply a file although it removes rows"),
        ("ingest quarantine accept --without-bad-rows 2025-11-11", "leave out what cannot be read"),
    ),
    "lake": (
        ("ingest lake build", "write what is missing"),
        ("ingest lake status", "show where the files are"),
    ),
    "lake build": (
        ("ingest lake build", "write what is missing or outdated"),
        ("ingest lake build -d stocks-minute", "minutes"),
    ),
    "lake status": (
        ("ingest lake status", "show which files there are, and where"),
        ("ingest lake status --json", "for a program"),
    ),
    "lake snapshots": (
        ("ingest lake snapshots", "show what can be queried, as it was"),
        ("ingest lake snapshots -d stocks-day --json", "those of one dataset, for a program"),
    ),
    "lake drop": (
        ("ingest lake drop", "ask, and remove all files of the lake"),
        ("ingest lake drop -d stocks-minute --yes", "those of one dataset, without asking"),
    ),
    "sql": (
        ('ingest sql "show tables"', "list what can be asked"),
        ('ingest sql "from tickers order by median_dollar_volume desc" --csv', "all tickers, as CSV"),
    ),
    "schedule": (
        ("ingest schedule show", "show what would be written"),
        ("ingest schedule install", "run every day at 06:00 UTC"),
    ),
    "schedule show": (
        ("ingest schedule show", "show what would be written"),
        ("ingest schedule show --kind cron", "as a line of a crontab"),
    ),
    "schedule install": (
        ("ingest schedule install", "run every day at 06:00 UTC"),
        ("ingest schedule install --time 07:30 --wait 9h --yes", "at another time, without a question"),
    ),
    "schedule remove": (
        ("ingest schedule remove --dry-run", "show what would be removed"),
        ("ingest schedule remove", "remove it"),
    ),
    "config": (
        ("ingest config show", "all settings, and where they come from"),
        ("ingest config path", "the file they are read from"),
    ),
    "config show": (
        ("ingest config show", "all settings, and where they come from"),
        ("ingest config show --config other.toml", "those of another file"),
    ),
    "config path": (
        ("ingest config path", "the file that settings are read from"),
        ("ingest config path --config other.toml", "check that another file is found"),
    ),
}

_LIST_CHANGED = {
    2: "wrong ticker, flag or setting; nothing was changed",
    5: "the list or the cache cannot be written",
    6: "a run holds the cache",
}

EXITS = {
    "list": {
        0: "listed",
        2: "wrong flag or setting",
        3: "the source lists no file of a dataset",
        4: "the source is down or refuses the keys",
        5: "the cache cannot be read",
    },
    "status": {
        0: "shown",
        2: "wrong flag or setting",
        3: "the data is older than --max-age",
        5: "the cache cannot be read",
    },
    "corrections": {0: "listed; perhaps none", 2: "wrong flag or setting", 5: "the cache cannot be read"},
    "findings": {0: "listed; perhaps none", 2: "wrong flag, kind or setting", 5: "the cache cannot be read"},
    "show": {
        0: "shown",
        2: "wrong flag or setting",
        4: "no rows, or the source is down or refuses the keys",
        5: "the cache cannot be read or written",
    },
    "tickers": {
        0: "listed; perhaps none",
        2: "wrong flag or setting",
        4: "the session is not stored",
        5: "the cache cannot be read",
    },
    "demo": {
        0: "complete",
        2: "wrong flag, or something that it needs is not installed",
        5: "the folder cannot be written",
        6: "another demo is in progress",
    },
    "track add": {0: "added, or there already"} | _LIST_CHANGED,
    "track remove": {0: "removed, or not in it"} | _LIST_CHANGED,
    "track import": {0: "added, or there already"} | _LIST_CHANGED,
    "track list": {0: "listed", 2: "wrong flag or list", 5: "the cache cannot be read"},
    "config show": {0: "shown", 2: "a setting is wrong, or FILE is missing"},
    "config path": {0: "printed", 1: "there is no config.toml", 2: "FILE is missing"},
    "run": {
        0: "complete",
        2: "wrong flag or setting",
        3: "some sessions failed or are in quarantine",
        4: "the source is down or refuses the keys",
        5: "the cache cannot be written",
        6: "another run is in progress, or another machine writes to the object store",
        130: "interrupted",
    },
    "init": {
        0: "written, and the check passed",
        2: "wrong flag, something is there already, or nobody to ask",
        4: "written; the check says what is left to do",
        5: "the files cannot be written",
    },
    "restore": {
        0: "restored",
        2: "no object store is set, there are sessions here, or not confirmed",
        5: "nothing is stored there, or the store does not answer",
        6: "another run is in progress, or another machine was faster",
    },
    "move": {
        0: "done, or nothing to move",
        2: "wrong flag, or not confirmed",
        3: "parts are missing or damaged, so nothing was moved",
        5: "the store or a disk failed",
        6: "another run is in progress, or another machine writes to the store",
        130: "interrupted",
    },
    "prune": {0: "done, or nothing to remove", 2: "wrong flag, or not confirmed", 6: "another run is in progress"},
    "lake build": {
        0: "up to date",
        2: "wrong flag or setting",
        5: "a part cannot be read, or a file not be written",
        6: "another run is in progress",
    },
    "lake status": {0: "shown", 2: "wrong flag or setting", 5: "the cache cannot be read"},
    "lake snapshots": {
        0: "shown",
        2: "wrong flag or setting, or pyiceberg is not installed",
        5: "the cache or the catalog cannot be read",
    },
    "lake drop": {0: "removed", 2: "wrong flag, or not confirmed", 6: "another run is in progress"},
    "sql": {
        0: "answered; perhaps no rows",
        2: "wrong flag, a query that DuckDB refuses, or DuckDB is not installed",
        5: "the cache cannot be read, or FILE not be written",
        130: "interrupted",
    },
    "check": {0: "all passed", 4: "something failed"},
    "adopt": {
        0: "all adopted or stored",
        2: "DIR cannot be used",
        3: "something was left alone or quarantined",
        130: "interrupted; what was adopted stays",
    },
    "export": {
        0: "all written",
        2: "wrong flag",
        3: "some tickers have no rows",
        4: "nothing is stored, or splits are unknown",
    },
    "chain": {
        0: "shown",
        2: "wrong flag",
        4: "the session is not stored, or no such contract traded",
        5: "the cache cannot be read",
    },
    "report": {
        0: "written",
        2: "wrong flag, or Jinja2 is not installed",
        5: "the cache cannot be read, or the file not be written",
    },
    "verify": {
        0: "nothing is broken",
        3: "something is missing or damaged",
        4: "it could not be downloaded again",
        5: "the cache cannot be read",
        6: "a run holds the cache to be repaired",
    },
    "quarantine list": {0: "listed", 5: "the cache cannot be read"},
    "quarantine show": {
        0: "shown",
        2: "it is not in quarantine",
        5: "its bytes are gone, or the cache cannot be read",
    },
    "quarantine retry": {
        0: "applied",
        2: "one of them is not in quarantine",
        3: "some are refused again",
        4: "the source is down or refuses the keys",
        5: "the cache cannot be written",
        6: "another run is in progress",
        130: "interrupted",
    },
    "quarantine dismiss": {
        0: "dismissed",
        2: "one is not in quarantine, and none is dismissed",
        5: "the cache cannot be written",
        6: "a run holds the cache",
    },
    "quarantine accept": {
        0: "applied",
        2: "one is not in quarantine or cannot be read, and none is applied",
        5: "its bytes are gone, or the cache cannot be written",
        6: "a run holds the cache",
    },
    "schedule show": {0: "shown", 2: "wrong flag, or the platform has no such scheduler"},
    "schedule install": {
        0: "installed, or not agreed to",
        2: "wrong flag, nobody to ask, or not its own",
        5: "it cannot be written, or the system refuses it",
    },
    "schedule remove": {
        0: "removed, not there, or not agreed to",
        2: "nobody to ask, or not its own",
        5: "it cannot be removed",
    },
}
