"""`ingest status`: a cache's span, age, gaps and size."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ingest.cache.layout import MemberIndex
from ingest.cache.manifest import Manifest, SessionRecord
from ingest.cache.manifest.records import Projection
from ingest.errors import CacheError
from ingest.files import durable
from ingest.finding import Finding
from ingest.maintenance import status
from ingest.maintenance.status import Status
from ingest.market.calendars import NEW_YORK, last_due
from ingest.market.catalogue import STOCKS_DAY
from ingest.settings import CacheSettings, Settings
from ingest.splitting.diff import Correction

# Thursday 2024-01-18; Monday the 15th was a holiday.
TODAY = date(2024, 1, 18)
INDEX = MemberIndex((0, 1), ("A",), ordered=True).encode()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(status, "last_due", lambda: TODAY)
    return Settings(cache=CacheSettings(root=tmp_path / "cache"))


def _fill(settings: Settings, *days: int, findings: tuple[Finding, ...] = ()) -> None:
    durable.make_folder(settings.cache.root)
    with Manifest.open(settings.manifest_path, STOCKS_DAY.name) as manifest:
        run = manifest.runs.begin(date(2024, 1, 2), TODAY)
        number = manifest.tracked_sets.number(frozenset("A"))
        records = [
            SessionRecord(
                session=date(2024, 1, day),
                etag="e1",
                size=100,
                last_modified="2024-01-03T05:00:00+00:00",
                source_rows=10,
                tracked_rows=2,
                archive_rows=8,
                dropped_rows=0,
                text_sha256="",
                tracked_sha256="",
                archive_sha256="",
                tracked_row_numbers=b"",
                tracked_set=number,
                archive_kept=True,
                cut="lines",
                columns=("ticker",),
                findings=findings,
                tracked_index=INDEX,
                archive_index=INDEX,
            )
            for day in days
        ]
        corrections = [Correction(day.session, "e0", "e1", ("ticker",), (), ("A",)) for day in records[:1] if findings]
        manifest.sessions.commit(records, corrections, run)
        manifest.runs.finish(run, 0, {})


def _status(settings: Settings) -> Status:
    return status.status(settings)


def test_a_cache_that_is_not_there_is_empty_and_stays_away(settings: Settings) -> None:
    found = _status(settings)
    assert (found.first, found.last, found.age_sessions) == (None, None, None)
    assert (found.sessions, found.gaps, found.runs) == ((), (), ())
    assert [tier.bytes for tier in found.tiers] == [0, 0, 0]
    assert not settings.cache.root.exists()


@pytest.mark.parametrize(("last", "age"), [(18, 0), (17, 1), (16, 2), (12, 3), (8, 7)])
def test_age_is_counted_in_sessions_up_to_the_last_that_is_due(last: int, age: int, settings: Settings) -> None:
    _fill(settings, 2, last)
    assert _status(settings).age_sessions == age


@pytest.mark.parametrize(
    ("now", "age"),
    [
        ("2024-01-09T17:00", 0),  # after the close of the session that follows the one stored
        ("2024-01-10T06:00", 0),  # its file often is there, but is not due
        ("2024-01-10T10:59", 0),
        ("2024-01-10T11:00", 1),
        ("2024-01-11T10:59", 1),
        ("2024-01-12T23:00", 3),
        ("2024-01-13T10:59", 3),
        ("2024-01-13T11:00", 4),  # Friday's file is due on Saturday
        ("2024-01-16T10:59", 4),  # Monday is a holiday
        ("2024-01-17T10:59", 4),
        ("2024-01-17T11:00", 5),
    ],
)
def test_age_counts_no_session_before_its_file_is_due(
    now: str, age: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(settings, 2, 8)
    moment = datetime.fromisoformat(now).replace(tzinfo=NEW_YORK).astimezone(UTC)
    monkeypatch.setattr(status, "last_due", lambda: last_due(moment))
    assert _status(settings).age_sessions == age


@pytest.mark.parametrize(
    ("held", "gaps"),
    [
        ([2], []),
        ([2, 3, 4], []),
        ([12, 16], []),
        ([2, 4], [(3, 3, 1)]),
        ([2, 8, 9, 17], [(3, 5, 3), (10, 16, 4)]),
        ([5, 18], [(8, 17, 7)]),
    ],
)
def test_gaps_are_the_sessions_between_that_are_not_held(
    held: list[int], gaps: list[tuple[int, int, int]], settings: Settings
) -> None:
    _fill(settings, *held)
    found = _status(settings)
    assert (found.first, found.last) == (date(2024, 1, held[0]), date(2024, 1, held[-1]))
    assert [(first.day, last.day, count) for first, last, count in found.gaps] == gaps


def test_rows_findings_and_corrections_are_summed(settings: Settings) -> None:
    _fill(settings, 2, 3, findings=(Finding("identical repeat", 1, ("A",)),))
    _fill(settings, 4)
    found = _status(settings)
    assert (found.source_rows, found.findings, found.corrections) == (30, 2, 1)
    assert [(count.held, count.remote, count.count) for count in found.sessions] == [("committed", "listed", 3)]
    assert [run["exit_code"] for run in found.runs] == [0, 0]


def test_tracked_tickers_are_those_followed_now(settings: Settings) -> None:
    _fill(settings, 2)
    with Manifest.open(settings.manifest_path, STOCKS_DAY.name) as manifest:
        manifest.csvs.follow(["A", "B", "GONE"])
        manifest.csvs.follow(["A", "B"])
        manifest.csvs.projected([Projection("A", rows=0)], [])
    found = _status(settings)
    assert (found.tracked_tickers, found.dirty_files) == (2, 1)


def test_each_tier_has_its_size_and_its_files_alone(settings: Settings) -> None:
    _fill(settings, 2)
    sizes = {settings.tracked_path / "A_1d_data.csv": 3, settings.tracked_path / "B_1d_data.csv": 4}
    sizes |= {settings.tracked_path / "sessions" / "2024-01-02.csv.gz": 5}
    sizes |= {settings.archive_path / f"2024-01-0{day}.csv.gz": 10 for day in (2, 3)}
    sizes |= {settings.archive_path / ".2024-01-04.csv.gz.tmp": 1_000, settings.tracked_path / "notes.txt": 1_000}
    for path, size in sizes.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    found = {tier.name: (tier.files, tier.bytes) for tier in _status(settings).tiers}
    assert found == {"tracked CSVs": (2, 7), "tracked parts": (1, 5), "archive parts": (2, 20)}


def test_a_damaged_manifest_is_an_error_of_the_cache(settings: Settings) -> None:
    durable.make_folder(settings.cache.root)
    settings.manifest_path.write_bytes(b"no database" * 100)
    with pytest.raises(CacheError, match="manifest"):
        _status(settings)
