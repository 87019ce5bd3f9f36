"""A cache to damage: a run has filled it."""

import pytest
from pipeline_kit import Place
from runs_kit import SPAN


@pytest.fixture
def place(server, tmp_path):
    filled = Place(tmp_path / "cache", server.endpoint_url)
    filled.run(*SPAN)
    return filled


@pytest.fixture
def snapshot():
    """The contents of a folder: names, bytes, modification times; without SQLite's shared memory."""

    def take(root):
        found = {path: path.stat() for path in sorted(root.rglob("*")) if not path.name.endswith(("-shm", "-wal"))}
        return {
            str(path): (stat.st_mtime_ns, None if path.is_dir() else path.read_bytes())
            for path, stat in found.items()
            if path != root  # SQLite's files come and go in it
        }

    return take


@pytest.fixture
def offline(place):
    """The same cache, with its source gone."""
    return Place(place.root, "http://127.0.0.1:9", source={"attempts": 1, "down_after_s": 1})
