"""Each kind of damage to each kind of file, in two datasets: it is named and repaired, and nothing else is lost."""

import os
import sys
from dataclasses import replace

import pytest
from damage_kit import DATASETS, DAYS, LISTED, SPAN, cache, copied, execute, objects, told
from pipeline_kit import write_keys

from ingest.demo.servers import loopback
from ingest.errors import CacheError
from ingest.maintenance.repair import repair
from ingest.maintenance.verify import verify
from ingest.market.windows import Window
from ingest.planning.request import Request


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def link(path):
    kept = path.with_name("elsewhere")
    path.rename(kept)
    path.symlink_to(kept)


def folder(path):
    path.unlink()
    path.mkdir()
    (path / "mine").write_text("mine")


def pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGE = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "gone": lambda path: path.unlink(),
    "a link": link,
    "a folder": folder,
    "a pipe": pipe,
}
FILES = {
    "tracked part": lambda place: place.part(DAYS[0]),
    "archive part": lambda place: place.part(DAYS[3], "archive"),
    "CSV": lambda place: place.tracked / place.dataset.csv_name("AAPL"),
    "quarantine": lambda place: place.dataset.folder(place.root / "quarantine") / f"{DAYS[2]}.csv.gz",
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A whole cache of two datasets, its source, and the contents of its manifest."""
    top = tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patch, loopback.serve(objects()) as server:
        write_keys(top / "credentials")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(top / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(top / "none"))
        yield cache(server, top / "cache")


def broken(place):
    return {
        (one.about, one.kind, one.what.rpartition("/")[2])
        for one in verify(place.settings(), dataset=place.dataset).broken
    }


def mended(place):
    """The problems after a repair and a run."""
    request = Request(Window(*SPAN), LISTED, dataset=place.dataset)
    repair(place.settings(), request, False, lambda words: None)
    place.run(*SPAN, tracked=LISTED)
    return verify(place.settings(), deep=True, dataset=place.dataset).broken


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links")
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("dataset", DATASETS, ids=[one.short for one in DATASETS])
def test_damage_to_a_file_is_named_and_mended_in_every_dataset(filled, tmp_path, dataset, damage):
    place = replace(copied(filled, tmp_path / "cache"), dataset=dataset)
    before = told(place, ("corrections", "yahoo_rows", "patterns"))
    for path in FILES.values():
        DAMAGE[damage](path(place))
    kind = "missing" if damage == "gone" else "damaged"
    abouts = {"tracked part": "session", "archive part": "session", "CSV": "csv", "quarantine": "quarantine"}
    assert broken(place) == {(abouts[name], kind, path(place).name) for name, path in FILES.items()}
    assert mended(place) == ()
    assert told(place, ("corrections", "yahoo_rows", "patterns")) == before
    assert {name: path(place).read_bytes() for name, path in FILES.items()} == {
        name: path(replace(filled, dataset=dataset)).read_bytes() for name, path in FILES.items()
    }
    if damage == "a folder":
        assert len(list(place.root.rglob("*.damaged-*/mine"))) == len(FILES)


FOLDERS = {
    "of tracked parts": lambda place: place.part(DAYS[0]).parent,
    "of archive parts": lambda place: place.archive,
    "of CSVs": lambda place: place.tracked,
    "of a market's archive": lambda place: place.archive.parent,
    "of refused files": lambda place: place.dataset.folder(place.root / "quarantine"),
    "of what is on its way": lambda place: place.root / "spool",
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_in_the_place_of_a_folder_is_moved_aside_and_the_folder_created(filled, tmp_path, name):
    place = replace(copied(filled, tmp_path / "cache"), dataset=DATASETS[1])
    folder = FOLDERS[name](place)
    if folder.exists():
        folder.rename(tmp_path / "elsewhere")
    folder.write_text("mine")
    said = []
    repair(place.settings(), Request(Window(*SPAN), LISTED, dataset=place.dataset), False, said.append)
    assert said[0].startswith(f"{folder}: it is not a folder and was moved to")
    assert folder.is_dir() or not folder.exists()
    (kept,) = folder.parent.glob(f"{folder.name}.damaged-*")
    assert kept.read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_a_link_to_a_disk_that_is_not_there_is_left_alone(filled, tmp_path):
    place = copied(filled, tmp_path / "cache")
    place.archive.rename(tmp_path / "disk")
    place.archive.symlink_to(tmp_path / "not mounted")
    with pytest.raises(CacheError, match="create the folder"):
        mended(place)
    assert place.archive.is_symlink()


ROWS = {
    "corrections": ("removed = 'x'", "at = 'x'", "kind = 'x'"),
    "findings": ("examples = '['", "count = -1"),
    "patterns": ("pattern = x'ff'",),
    "permission_windows": ("first = '2025-13-01'", "last = NULL"),
    "quarantine": ("acceptable = 7", "etag = x'00'"),
    "yahoo_rows": ("close = 'x'", "asked_at = 'x'"),
    "actions": ("value = 'x'",),
    "askings": ("last = 'x'",),
    "refusals": ("reason = x'00'", "asked_at = 'x'"),
    "projections": ("sha256 = NULL", "period = 'x'"),
    "members": ("member_index = 'x'",),
    "sessions": ("archive_kept = NULL", "held = 'x'", "text_sha256 = NULL", "tracked_set = 99"),
    "intents": (),
    "tracked_sets": ("tickers = x'ff'",),
    "runs": ("summary = '{'",),
    "source": ("name = x'00'",),
}


def one_of_each():
    return [(table, changes[0]) for table, changes in ROWS.items() if changes]


def all_others():
    return [(table, change) for table, changes in ROWS.items() for change in changes[1:]]


@pytest.mark.parametrize(("table", "change"), one_of_each())
def test_a_damaged_row_is_named_and_left_out_and_all_others_stay(filled, tmp_path, table, change):
    check_row(copied(filled, tmp_path / "cache"), table, change)


@pytest.mark.long
@pytest.mark.parametrize(("table", "change"), all_others())
def test_any_damaged_row_is_named_and_left_out_and_all_others_stay(filled, tmp_path, table, change):
    check_row(copied(filled, tmp_path / "cache"), table, change)


OF_STOCKS = f"WHERE dataset = '{DATASETS[0].name}'"
ALL_OF_STOCKS = (
    "findings",
    "patterns",
    "quarantine",
    "yahoo_rows",
    "actions",
    "askings",
    "refusals",
    "projections",
    "sessions",
)


def check_row(copy, table, change):
    """The rows belong to stocks, and the repair is one of options."""
    place = replace(copy, dataset=DATASETS[1])
    where = OF_STOCKS if table in ALL_OF_STOCKS else f"WHERE rowid = (SELECT max(rowid) FROM {table})"
    before = told(place)
    execute(place, f"INSERT OR IGNORE INTO findings VALUES ('{DATASETS[0].name}', '{DAYS[0]}', 'no rows', 1, '[]')")
    execute(place, f"UPDATE {table} SET {change} {where}")
    damaged = [one for one in verify(place.settings(), dataset=place.dataset).problems if one.about == "manifest"]
    assert damaged
    assert all(table in one.reason for one in damaged)
    assert mended(place) == ()
    here = replace(place, dataset=DATASETS[0])
    here.run(*SPAN, tracked=LISTED)
    assert verify(here.settings(), dataset=here.dataset).broken == ()
    after = told(place)
    for name in set(before) - {table, "permission_windows", "findings"}:
        assert after[name] == before[name]


def test_a_bug_never_sets_a_manifest_aside(filled, tmp_path, monkeypatch):
    place = copied(filled, tmp_path / "cache")
    before = (place.root / "manifest.sqlite").stat().st_ino

    def buggy(*arguments, **named):
        raise TypeError("a bug")

    monkeypatch.setattr("ingest.cache.manifest.sessions.SessionRecord", buggy)
    for deed in (lambda: verify(place.settings()), lambda: mended(place)):
        with pytest.raises(TypeError, match="a bug"):
            deed()
    assert (place.root / "manifest.sqlite").stat().st_ino == before
    assert list(place.root.glob("manifest.sqlite.*")) == []
