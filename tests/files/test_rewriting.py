"""Lists are changed where they are: through links, with their mode and owner, mounted or not, and never torn unsaid."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from ingest.errors import CacheError, UsageError
from ingest.files import durable
from ingest.files.rewriting import rewrite
from ingest.settings.lists import read_list

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, modes and mounts of POSIX")


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "stocks.txt"
    path.write_bytes(b"AAPL\nMSFT\n")
    return path


def alone(path):
    assert [one.name for one in path.parent.iterdir() if one.name != path.name] == []


def test_a_list_that_is_not_there_is_made(tmp_path):
    rewrite(tmp_path / "new.txt", b"AAPL\n")
    assert (tmp_path / "new.txt").read_bytes() == b"AAPL\n"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_its_mode_stays(listed, mode):
    listed.chmod(mode)
    rewrite(listed, b"AAPL\n")
    assert (stat.S_IMODE(listed.stat().st_mode), listed.read_bytes()) == (mode, b"AAPL\n")
    alone(listed)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_its_owner_stays(listed):
    os.chown(listed, 1234, 5678)
    listed.chmod(0o640)
    rewrite(listed, b"AAPL\n")
    found = listed.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 5678, 0o640)


def test_an_owner_that_cannot_be_given_stays_for_the_file_is_written_into(listed, monkeypatch):
    number, lstat = listed.stat().st_ino, os.lstat

    def of_another(path):
        found = list(lstat(path))
        found[4] += 0 if os.fspath(path).endswith(".txt") else 1
        return os.stat_result(found)

    def refused(*_, **__):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "lstat", of_another)
    monkeypatch.setattr(os, "chown", refused)
    rewrite(listed, b"A\n")
    monkeypatch.undo()
    assert (listed.read_bytes(), listed.stat().st_ino) == (b"A\n", number)
    alone(listed)


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_stays_one_and_what_it_leads_to_is_changed(listed, tmp_path, dangling):
    folder = tmp_path / "mine"
    folder.mkdir()
    link = folder / "link.txt"
    link.symlink_to(listed)
    if dangling:
        listed.unlink()
    rewrite(link, b"AAPL\n")
    assert (link.is_symlink(), listed.is_symlink(), listed.read_bytes()) == (True, False, b"AAPL\n")


def test_another_name_of_a_file_stays_one(listed, tmp_path):
    other = tmp_path / "other.txt"
    os.link(listed, other)
    rewrite(listed, b"AAPL\n")
    assert other.read_bytes() == b"AAPL\n"
    assert other.samefile(listed)


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV])
def test_a_file_whose_name_cannot_be_given_away_is_written_into(listed, monkeypatch, code):
    number, replace = listed.stat().st_ino, os.replace

    def refused(source, target, **named):
        if str(target) == str(listed):
            raise OSError(code, os.strerror(code))
        replace(source, target, **named)

    monkeypatch.setattr(os, "replace", refused)
    for text in (b"A\n", b"AAPL\nMSFT\nNVDA\n"):
        rewrite(listed, text)
        assert (listed.read_bytes(), listed.stat().st_ino) == (text, number)
        alone(listed)


@pytest.mark.skipif(sys.platform != "linux", reason="bind mounts are Linux's own")
def test_a_file_that_is_mounted_by_itself_is_written_into(listed, tmp_path):
    inside = tmp_path / "inside" / "stocks.txt"
    inside.parent.mkdir()
    inside.touch()
    if subprocess.run(["mount", "--bind", listed, inside], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        rewrite(inside, b"AAPL\n")
        assert listed.read_bytes() == b"AAPL\n"
        alone(inside)
    finally:
        subprocess.run(["umount", inside], check=True)


def test_a_write_that_fails_leaves_what_was(listed, tmp_path, monkeypatch):
    os.link(listed, tmp_path / "other.txt")
    truncate, failed = os.ftruncate, []

    def fails_once(*arguments):
        if not failed:
            failed.append(arguments)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        truncate(*arguments)

    monkeypatch.setattr(os, "ftruncate", fails_once)
    with pytest.raises(CacheError, match=os.strerror(errno.EIO)):
        rewrite(listed, b"A\n")
    assert listed.read_bytes() == b"AAPL\nMSFT\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.txt", "stocks.txt"]


def test_a_change_that_was_cut_short_is_said_by_who_reads_the_list(listed, tmp_path, monkeypatch):
    class Dead(BaseException):
        pass

    def dies(*_):
        raise Dead

    os.link(listed, tmp_path / "other.txt")
    monkeypatch.setattr(os, "ftruncate", dies)
    with pytest.raises(Dead):
        rewrite(listed, b"A\n")
    with pytest.raises(UsageError, match=r"cut short: .*stocks.txt.ingest-backup is what it was before"):
        read_list(listed)
    assert (tmp_path / "stocks.txt.ingest-backup").read_bytes() == b"AAPL\nMSFT\n"
    (tmp_path / "stocks.txt.ingest-backup").unlink()
    read_list(listed)


def test_a_disk_without_room_leaves_the_list_and_nothing_beside_it(listed, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(CacheError, match="No space left"):
        rewrite(listed, b"A\n")
    monkeypatch.undo()
    assert listed.read_bytes() == b"AAPL\nMSFT\n"
    alone(listed)
    assert durable.leftovers(listed.parent, lambda _: True) == []
