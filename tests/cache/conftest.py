"""A manifest of one dataset, open for writing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from manifest_kit import DATASET, DAY, LAST

from ingest.cache.manifest import Manifest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


@pytest.fixture
def manifest(path: Path) -> Iterator[Manifest]:
    with Manifest.open(path, DATASET) as opened:
        opened.runs.begin(DAY, LAST)
        yield opened
