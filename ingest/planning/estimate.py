"""Estimates a large download before it begins: files, bytes, minutes, disk."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from ingest.cache.manifest import Manifest
from ingest.files import durable

_DISK_PER_PACKED = 1.1
"""Bytes on disk per downloaded byte: both parts, their index, the tracked CSVs (measured: 1.07)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`bytes` are packed bytes to download, `disk` the growth of the cache; `seconds` is None before the first run."""

    files: int
    bytes: int
    disk: int
    free: int
    seconds: float | None


def estimate(files: int, size: int, manifest: Manifest, root: Path) -> Estimate:
    """Estimate a download of so many files and packed bytes, at the rate of the last run of some size."""
    rate = manifest.runs.measured_rate()
    with durable.translated("look at", root):
        free = shutil.disk_usage(root).free
    return Estimate(
        files=files,
        bytes=size,
        disk=round(size * _DISK_PER_PACKED),
        free=free,
        seconds=size / rate if rate else None,
    )


def in_words(found: Estimate) -> str:
    """The estimate as one line."""
    minutes = (
        "" if found.seconds is None else f", about {max(found.seconds / 60, 1):.0f} min at the rate of the last run"
    )
    enough = "" if found.disk < found.free else ", which is not enough"
    return (
        f"{found.files:,} files, {found.bytes / 1e9:.1f} GB to download{minutes}; "
        f"they take {found.disk / 1e9:.1f} GB of disk, {found.free / 1e9:.1f} GB are free{enough}"
    )
