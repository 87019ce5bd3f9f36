"""Whole runs for tests: a cache, its source, and the result of a run.

`Place` is one cache and one source. Its `run` goes through `pipeline.run` in this process and records the requests;
`cli` goes through the command line in its own process.
"""

import contextlib
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import anyio
import pytest
import typer.main
from aiobotocore.httpsession import AIOHTTPSession

from ingest import events
from ingest.cache.parts import members
from ingest.cli.app import app
from ingest.cli.rendering.records import is_asked
from ingest.cli.warnings import tell_error
from ingest.demo.files.market import Market, pack
from ingest.errors import IngestError
from ingest.maintenance.status import Status, status
from ingest.market.calendars import Calendar
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.datasets import Dataset
from ingest.market.windows import Window
from ingest.pipeline import run as runs
from ingest.pipeline.dataset_run import preview
from ingest.planning.request import Request
from ingest.settings import Archive, CacheSettings, EngineSettings, Fallback, Limits, Settings, SourceSettings
from ingest.settings.sections.lake import Lake
from ingest.splitting import row_numbers

ROOT = Path(__file__).resolve().parents[2]
HEADER = "ticker,volume,open,close,high,low,window_start,transactions"
TRACKED = frozenset({"AAPL", "BRK.B", "BACpL", "TRUE"})
MARKET = Market(seed=11, rows=220)
COMMAND = typer.main.get_command(app)
"""The command line, built once for all commands of this process."""

SAME = "the tests' own source"
"""How caches identify their source, since the tests' servers have a new port each time."""

key = STOCKS_DAY.key

_NAMES_IMPORTED = """
import sys
from ingest.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


LONG = pytest.mark.long


def sampled(cases, every=4):
    """All cases of a parametrized test: by default one in `every` runs, the others with `-m long`."""
    return [case if at % every == 0 else pytest.param(case, marks=pytest.mark.long) for at, case in enumerate(cases)]


def sampled_by_name(cases, every=3):
    """Like `sampled`, for cases with names, each a tuple of values or one value."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), id=name, marks=LONG if at % every else ())
        for at, (name, case) in enumerate(cases.items())
    ]


def trading_days(start, count):
    """`count` sessions from a date on."""
    return list(Calendar.of(STOCKS_DAY.calendar).between(start, start + timedelta(days=2 * count + 10))[:count])


@cache
def market_day(day):
    return MARKET.day(day)


@cache
def packed_day(day):
    return pack(market_day(day))


def market_objects(days):
    """Key and compressed file of each day of a small market."""
    return {key(day): packed_day(day) for day in days}


def flat(rows, header=HEADER, end="\n"):
    """A day's text from (ticker, close) pairs; all other numbers follow from the close."""
    lines = [f"{ticker},{1000 + n},{close},{close},{close},{close},1,{n}" for n, (ticker, close) in enumerate(rows)]
    return end.join([header, *lines, ""]).encode()


def write_keys(path, access_key="KEY", secret_key="secret-of-the-loopback"):
    path.write_text(f"[massive]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")


def pointed(number):
    """A number as in a tracked CSV: whole ones have a point, so that all rows look alike."""
    return f"{number}.0" if number.lstrip("+-").isdigit() else number


@dataclass
class Wire:
    """Every request that left this process for the source, in order."""

    sent: list[tuple[str, bool]] = field(default_factory=list)
    """URL, and whether only a part of the object was requested."""

    @property
    def listings(self):
        return [url for url, _ in self.sent if "list-type=2" in url]

    @property
    def gets(self):
        """Sessions whose objects were requested, in order."""
        return self._sessions(ranged=False)

    @property
    def probes(self):
        """Sessions of which one byte was requested."""
        return self._sessions(ranged=True)

    def _sessions(self, ranged):
        urls = [url for url, partly in self.sent if "list-type=2" not in url and partly is ranged]
        names = [unquote(urlsplit(url).path).rpartition("/")[2] for url in urls]
        return [date.fromisoformat(name.removesuffix(".csv.gz")) for name in names]

    def watching(self):
        """Log requests until the block is left."""
        original, sent = AIOHTTPSession.send, self.sent

        async def send(client, request):
            sent.append((request.url, "Range" in request.headers))
            return await original(client, request)

        return patch.object(AIOHTTPSession, "send", send)


@dataclass
class Ran:
    """A finished run: its events, its requests, its error."""

    events: list[events.Event]
    wire: Wire
    error: IngestError | None

    @property
    def finished(self) -> events.Finished:
        (last,) = self.of(events.Finished)
        assert self.events[-1] is last
        return last

    @property
    def gets(self):
        return self.wire.gets

    @property
    def probes(self):
        return self.wire.probes

    @property
    def reasons(self):
        (planned,) = self.of(events.Planned)
        return dict(planned.reasons)

    @property
    def committed(self):
        return sorted(event.session for event in self.of(events.Committed))

    @property
    def notices(self):
        return [event.message for event in self.of(events.Notice)]

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


@dataclass(frozen=True)
class Told:
    """How a command ended, and its output."""

    code: int
    out: str
    err: str


@dataclass
class Place:
    """A cache and its source."""

    root: Path
    endpoint_url: str
    bucket: str = "flatfiles"
    source: dict = field(default_factory=dict)
    yahoo: bool = False
    """Whether to query Yahoo, for tests that serve one."""
    into_csv: bool = False
    dataset: Dataset = STOCKS_DAY
    engine: dict = field(default_factory=dict)
    """Where sessions are downloaded and split: the settings of [engine]."""
    lake: bool = False
    iceberg: bool = False

    def settings(self, save_others=True, in_flight=None, max_unpacked=None, **source):
        chosen = {"endpoint_url": self.endpoint_url, "bucket": self.bucket, "same_as": SAME} | self.source | source
        chosen_limits = {"max_bytes_in_flight": in_flight, "max_unpacked_bytes": max_unpacked}
        limits = Limits(**{name: value for name, value in chosen_limits.items() if value is not None})
        return Settings(
            source=SourceSettings(**chosen),
            cache=CacheSettings(root=self.root),
            archive=Archive(save_others=save_others),
            limits=limits,
            fallback=Fallback(enabled=self.yahoo, into_csv=self.into_csv),
            engine=EngineSettings(**self.engine),
            lake=Lake(enabled=self.lake, iceberg=self.iceberg),
        )

    def run(
        self,
        start,
        end,
        tracked=TRACKED,
        refresh=False,
        sink=None,
        fails=None,
        notices=(),
        max_files=None,
        max_bytes=None,
        accept=False,
        **settings,
    ) -> Ran:
        """A run; if it raises, `fails` must be the class of its error."""
        window, limits = Window(start, end, tuple(notices)), (max_files, max_bytes)
        request = Request(window, frozenset(tracked), refresh, *limits, accept=accept, dataset=self.dataset)
        chosen = self.settings(**settings)
        seen, wire, error = [], Wire(), None

        def note(event):
            seen.append(event)
            if sink:
                sink(event)

        async def work(executor_for):
            return await runs.run(chosen, [request], note, anyio.Event(), executor_for=executor_for)

        with wire.watching(), self._engine(chosen) as executor_for:
            try:
                anyio.run(work, executor_for).only()
            except IngestError as caught:
                error = caught
        if fails is None and error is not None:
            raise error
        assert fails is None or type(error) is fails, f"{error!r} in place of {fails}"
        return Ran(seen, wire, error)

    def _engine(self, chosen):
        if chosen.engine.kind == "local":
            return contextlib.nullcontext()
        from ingest.engines.engine import engine_of

        return engine_of(chosen)

    def preview(self, start, end, tracked=TRACKED, **settings):
        """The plan of such a run."""
        request = Request(Window(start, end), frozenset(tracked), dataset=self.dataset)

        async def work():
            return await preview(self.settings(**settings), request, lambda event: None)

        return anyio.run(work)

    def environment(self, **more):
        """The environment for a command of this place."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("INGEST_")}
        source = {"endpoint_url": self.endpoint_url, "bucket": self.bucket, "same_as": SAME} | self.source
        named = {f"INGEST_SOURCE__{name.upper()}": str(value) for name, value in source.items()}
        own = {
            "INGEST_CACHE__ROOT": str(self.root),
            "INGEST_TRACKED__LISTS": "[]",
            "INGEST_FALLBACK__ENABLED": str(self.yahoo).lower(),
            "INGEST_LAKE__ENABLED": str(self.lake).lower(),
            "INGEST_LAKE__ICEBERG": str(self.iceberg).lower(),
            **{f"INGEST_ENGINE__{name.upper()}": str(value) for name, value in self.engine.items()},
        }
        return {**kept, **named, **own, "INGEST_TRACKED__TICKERS": json.dumps(sorted(TRACKED)), **more}

    def config(self, lists=(), tickers=()):
        """A config.toml for the Python functions, beside the cache."""
        source = {"endpoint_url": self.endpoint_url, "bucket": self.bucket, "same_as": SAME} | self.source
        sections = {
            "source": source,
            "cache": {"root": str(self.root)},
            "tracked": {"lists": [*map(str, lists)], "tickers": [*tickers]},
            "fallback": {"enabled": self.yahoo},
            "lake": {"enabled": self.lake, "iceberg": self.iceberg},
        }
        path = self.root.parent / "config.toml"
        lines = [
            line
            for section, values in sections.items()
            for line in (f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items()))
        ]
        path.write_text("\n".join(lines) + "\n")
        return path

    def command(self, *arguments):
        return [sys.executable, "-W", "error", "-m", "ingest", *map(str, arguments)]

    def cli(self, *arguments, **environment):
        """Run a command to its end; its output is text."""
        return self.ended(self.command(*arguments), **environment)

    def ended(self, command, **environment):
        """Run a program in the environment of this place to its end; its output is text."""
        return subprocess.run(
            command,
            env=self.environment(**environment),
            cwd=self.root.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def here(self, *arguments, **environment) -> Told:
        """Run a command in this process, in a tenth of the time; errors are handled like in `main`."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self.environment(**environment), clear=True),
            contextlib.chdir(self.root.parent),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                code = COMMAND([str(one) for one in arguments], standalone_mode=False) or 0
            except IngestError as error:
                tell_error(error, is_asked([str(one) for one in arguments]))
                code = error.exit_code
        return Told(code, out.getvalue(), err.getvalue())

    def imported(self, *arguments, **environment):
        """Names of the packages that a successful command imported."""
        done = subprocess.run(
            [sys.executable, "-c", _NAMES_IMPORTED, *map(str, arguments)],
            env=self.environment(**environment),
            cwd=self.root.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return set(done.stderr.split())

    # What is on disk

    @property
    def tracked(self):
        return self.dataset.folder(self.root / "data_cache")

    @property
    def archive(self):
        return self.dataset.folder(self.root / "massive_cache")

    def part(self, day, tier="tracked"):
        folder = self.tracked / "sessions" if tier == "tracked" else self.archive
        return folder / f"{day}.csv.gz"

    def part_text(self, day, tier="tracked"):
        return members.unpack(self.part(day, tier).read_bytes())

    def csv(self, name):
        """Rows of the tracked CSV with this stem, as a dictionary from date to the rest; None without a file."""
        path = self.tracked / f"{name}{self.dataset.csv_suffix}"
        if not path.exists():
            return None
        header, *lines = path.read_text().splitlines()
        assert header == "Date,Open,High,Low,Close" + ",Volume" * self.dataset.has_volume
        assert lines == sorted(lines)
        rows = dict(line.split(",", 1) for line in lines)
        assert len(rows) == len(lines)
        return rows

    def months(self, name):
        """Lines of a ticker's minute CSVs by month, without headers; empty if there are none."""
        files = sorted((self.tracked / f"{name}{self.dataset.csv_suffix}").glob("*"))
        texts = {path.name.removesuffix(".csv"): path.read_text().splitlines() for path in files}
        header = "Datetime,Open,High,Low,Close" + ",Volume" * self.dataset.has_volume
        assert all(lines[0] == header and len(lines) > 1 for lines in texts.values())
        return {month: lines for month, (_, *lines) in texts.items()}

    def closes(self, name):
        """Closes of a tracked CSV by date."""
        return {day: row.split(",")[3] for day, row in (self.csv(name) or {}).items()}

    def archived(self, day):
        """Tickers of an archive part."""
        return [line.split(b",")[0].decode() for line in self.part_text(day, "archive").splitlines()[1:]]

    def reassembled(self, day):
        """Both parts merged in the order of the source's lines, as the manifest has it."""
        tracked, archive = (self.part_text(day, tier).split(b"\n") for tier in ("tracked", "archive"))
        assert tracked[0] == archive[0]
        text = {tier: self.part_text(day, tier).splitlines(keepends=True)[1:] for tier in ("tracked", "archive")}
        (numbers,) = self.query(
            "SELECT tracked_row_numbers FROM sessions WHERE dataset = ? AND session = ?",
            self.dataset.name,
            day.isoformat(),
        )
        lines = {tier: iter(found) for tier, found in text.items()}
        stretches = row_numbers.decode(numbers[0]).each(sum(map(len, text.values())))
        rows = [next(lines["tracked" if inside else "archive"]) for inside, count in stretches for _ in range(count)]
        return tracked[0] + b"\n" + b"".join(rows)

    def query(self, sql, *values):
        with closing(sqlite3.connect(self.root / "manifest.sqlite")) as db:
            return db.execute(sql, values).fetchall()

    def execute(self, sql):
        with closing(sqlite3.connect(self.root / "manifest.sqlite")) as db, db:
            db.execute(sql)

    def state(self, day):
        """(held, remote) of a session, or None."""
        rows = self.query(
            "SELECT held, remote FROM sessions WHERE dataset = ? AND session = ?", self.dataset.name, day.isoformat()
        )
        return rows[0] if rows else None

    def corrections(self):
        """(session, removed, added) of each correction, oldest first."""
        rows = self.query("SELECT session, removed, added FROM corrections WHERE kind <> 'equal rows' ORDER BY id")
        return [(date.fromisoformat(day), json.loads(removed), json.loads(added)) for day, removed, added in rows]

    def status(self) -> Status:
        return status(self.settings(), self.dataset)

    def tiers(self, staged=True):
        """Every file of both tiers by its path, with its bytes; those that are `staged` or left so, if wanted."""
        folders = (self.tracked, self.archive, self.root / "lake")
        found = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
        files = [path for path in found if staged or path.suffix != ".tmp"]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}

    def logical_manifest(self):
        """The manifest's content, without times, run numbers and numbers of tracked sets.

        For a session restored from its parts, the file's publication time is unknown.
        """
        sets = dict(self.query("SELECT id, tickers FROM tracked_sets"))
        columns = (
            "dataset, session, held, remote, reason, remote_etag, etag, size, source_rows, "
            "tracked_rows, archive_rows, dropped_rows, text_sha256, tracked_sha256, archive_sha256, "
            "tracked_row_numbers, archive_kept, cut, columns, projected"
        )
        found = self.query(f"SELECT tracked_set, {columns} FROM sessions ORDER BY session")
        return {
            "sessions": [(sets.get(number), *row) for number, *row in found],
            "members": self.query("SELECT * FROM members ORDER BY session, tier"),
            "projections": self.query(
                "SELECT ticker, period, active, dirty, first, last, rows, sha256, size FROM projections "
                "ORDER BY ticker, period"
            ),
            "findings": self.query("SELECT * FROM findings ORDER BY session, kind"),
            "corrections": self.query(
                "SELECT session, old_etag, new_etag, kind, columns, old_columns, removed, added FROM corrections "
                "ORDER BY session, id"
            ),
            "quarantine": self.query("SELECT session, etag, size, reason, acceptable FROM quarantine ORDER BY session"),
            "intents": self.query("SELECT * FROM intents"),
            "lake": self.query("SELECT partition, contents, rows, sha256, size, format FROM lake ORDER BY partition"),
        }


def assert_same(one: Place, other: Place, staged=False):
    """Tiers are equal byte for byte, and manifests are equal; the first may have `staged` parts, too."""
    mine, theirs = one.tiers(staged=not staged), other.tiers()
    assert sorted(mine) == sorted(theirs), mine.keys() ^ theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []
    ours, expected = one.logical_manifest(), other.logical_manifest()
    for table, rows in expected.items():
        assert ours[table] == rows, table


def window(days: Iterable[date]):
    """First and last of some days."""
    ordered = sorted(days)
    return ordered[0], ordered[-1]


def weekdays(start, end):
    days = (start + timedelta(days=n) for n in range((end - start).days + 1))
    return [day for day in days if day.weekday() < 5]
