"""A worker's folder of temporary files: a killed process leaves one behind, and the next one removes it."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ingest.files.scratch import Scratch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks of folders")

_HOLDS = """
from ingest.files.scratch import Scratch
held = Scratch("test")
(held.path / "a file").write_text("of a dead process")
print(held.path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def holder(tmp_path):
    """A process that holds a folder, and the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_what_a_killed_process_left_goes_and_nothing_else(holder, tmp_path):
    process, folder = holder
    strangers = [tmp_path / "ingest-test-of-mine", tmp_path / "ingest-0abc", tmp_path / "other"]
    for one in strangers:
        one.mkdir()
    first = Scratch("test")
    assert (folder / "a file").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    other, second = Scratch("other"), Scratch("test")
    assert not folder.exists()
    assert {*tmp_path.iterdir()} == {*strangers, first.path, second.path, other.path}
    for one in (first, second, other):
        one.discard()
    assert {*tmp_path.iterdir()} == {*strangers}


def test_a_link_of_that_name_is_not_followed(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    first = Scratch("test")
    link = first.path.with_name(first.path.name + "link")
    link.symlink_to(kept, target_is_directory=True)
    Scratch("test").discard()
    first.discard()
    assert kept.is_dir()
    assert link.is_symlink()
