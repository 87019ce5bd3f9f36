"""What a few nights leave on disk, byte for byte: a refactoring must not change it.

Four datasets are filled, one of them as if each of its files were large; then one file is republished with other rows,
one with fewer, and one damaged. Texts and the manifest's content are compared; compressed bytes, and what follows from
them, depend on the machine's compressor, and times on when the test runs. If a change is intended,
`python -m pytest tests/contracts/test_golden.py` with GOLDEN=write in the environment rewrites the file.
"""

import gzip
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import large_kit
import pytest
from pipeline_kit import Place, Told, trading_days

from ingest.demo.files.files import files_of
from ingest.demo.files.text import pack
from ingest.demo.servers import loopback
from ingest.market.catalogue import CATALOGUE
from ingest.market.datasets import Dataset

GOLDEN = Path(__file__).with_name("golden.txt")
DAYS = trading_days(date(2025, 11, 10), 3)
ROWS = {"stocks-day": 240, "options-day": 300, "crypto-minute": 3, "futures-cme-day": 40}

_MANIFEST = {
    "runs": "dataset window_start window_end exit_code",
    "tracked_sets": "id tickers",
    "sessions": "dataset session held remote source_rows tracked_rows archive_rows dropped_rows text_sha256 "
    "hex(tracked_row_numbers) tracked_set archive_kept cut columns projected run",
    "members": "dataset session tier",
    "findings": "dataset session kind count examples",
    "corrections": "dataset session columns removed added run kind old_columns",
    "quarantine": "dataset session acceptable run",
    "projections": "dataset ticker period active dirty first last rows sha256 yahoo format",
    "intents": "dataset session",
}
"""The columns compared in each table; others depend on the time or the compressor, or are sentences for people."""


def _dataset(name: str) -> Dataset:
    return next(one for one in CATALOGUE.values() if one.short == name)


def _night(place: Place, name: str, tickers: Sequence[str]) -> Told:
    listed = place.root.with_name(f"{name}.txt")
    listed.write_text("\n".join(tickers))
    return place.here("run", "-d", name, "--start", DAYS[0], "--end", DAYS[-1], "--tickers", listed)


def _published_again(objects: dict[str, bytes], dataset: Dataset) -> None:
    """One file with another close and a new row, one with half of its rows, one that is no longer a gzip file."""
    text = gzip.decompress(objects[dataset.key(DAYS[0])])
    header, first, *rows = text.splitlines(keepends=True)
    changed = first.split(b",")
    changed[2] = b"12.34"
    new = b"ZZZZ" + first[first.index(b",") :]
    objects[dataset.key(DAYS[0])] = pack(b"".join([header, b",".join(changed), *rows, new]))
    lines = gzip.decompress(objects[dataset.key(DAYS[1])]).splitlines(keepends=True)
    objects[dataset.key(DAYS[1])] = pack(b"".join(lines[: len(lines) // 2]))
    objects[dataset.key(DAYS[2])] = objects[dataset.key(DAYS[2])][:-20]


def _files(root: Path) -> Iterator[str]:
    """Each file of a cache with the hash of its text; for the manifest, the lock and the quarantine only the name."""
    for path in sorted(one for one in root.rglob("*") if one.is_file()):
        name = path.relative_to(root).as_posix()
        data = (
            gzip.decompress(path.read_bytes()) if "/sessions/" in name or "massive_cache" in name else path.read_bytes()
        )
        yield name if "manifest" in name or "quarantine" in name else f"{name} {hashlib.sha256(data).hexdigest()}"


def _manifest(root: Path) -> Iterator[str]:
    with closing(sqlite3.connect(root / "manifest.sqlite")) as opened:
        for table, columns in _MANIFEST.items():
            rows = opened.execute(f"SELECT {columns.replace(' ', ', ')} FROM {table}")
            yield from sorted(f"{table} {json.dumps(row)}" for row in rows)


def test_a_few_nights_leave_what_they_always_left(tmp_path, loopback_keys, monkeypatch):
    datasets = {name: _dataset(name) for name in ROWS}
    files = {name: files_of(dataset, ROWS[name]) for name, dataset in datasets.items()}
    objects = {key: body for one in files.values() for key, body in one.objects(DAYS)}
    with loopback.serve(objects) as server:
        place = Place(tmp_path / "cache", server.endpoint_url)
        for name, one in files.items():
            with pytest.MonkeyPatch.context() as patch:
                if name == "crypto-minute":
                    large_kit.shrink(patch)
                assert _night(place, name, one.always(DAYS[-1])[:2]).code == 0
        _published_again(objects, datasets["stocks-day"])
        assert _night(place, "stocks-day", files["stocks-day"].always(DAYS[-1])[1:3]).code == 3
    found = "".join(f"{line}\n" for line in (*_files(tmp_path / "cache"), *_manifest(tmp_path / "cache")))
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()
