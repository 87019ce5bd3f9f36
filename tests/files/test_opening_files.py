"""Only regular files are opened: nothing planted is followed, waited for or written into, and no error is hidden."""

import os
import socket

import pytest

from ingest.files import opening


@pytest.fixture(params=["link", "dangling link", "pipe", "socket", "folder", "device"])
def planted(request, tmp_path, monkeypatch):
    """Something that is no file, the name of its kind, and a file outside that must stay as it is."""
    (tmp_path / "outside").write_bytes(b"mine")
    path, kind = tmp_path / "planted", request.param
    if kind == "link":
        path.symlink_to(tmp_path / "outside")
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "made by following it")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("planted")
    elif kind == "folder":
        path.mkdir()
    else:
        path = tmp_path.__class__(os.devnull)
    yield path, kind.removeprefix("dangling ")
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert not (tmp_path / "made by following it").exists()


def written(path):
    with opening.to_write(path) as descriptor:
        opening.write_all(descriptor, b"overwritten")


def ranged(path):
    return opening.read_ranges(path, [(0, 4)])


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of them")
@pytest.mark.parametrize("how", [opening.read, opening.to_read, ranged, written])
def test_what_is_no_file_is_named_and_neither_read_nor_written(planted, how):
    path, kind = planted
    with pytest.raises(opening.NotAFile, match=f"it is a {kind}, not a file"):
        how(path)
    assert not opening.is_file(path)
    assert opening.is_there(path)


def test_a_new_file_is_not_made_where_anything_is(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "made by following it")
    (tmp_path / "file").write_bytes(b"mine")
    for name in ("link", "file"):
        with pytest.raises(FileExistsError), opening.created(tmp_path / name):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_file_is_read_up_to_a_limit_and_through_a_link_for_who_asks_for_it(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"12345")
    link.symlink_to(path)
    assert [opening.read(path), opening.read(path, 5), opening.read(link, linked=True)] == [b"12345"] * 3
    assert opening.size(path) == 5
    for wrong in (lambda: opening.read(path, 4), lambda: opening.size(link)):
        with pytest.raises(opening.NotAFile):
            wrong()


def test_ranges_are_read_in_their_order_and_end_where_the_file_does(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    asked = [(4, 6), (0, 3), (8, 12), (20, 30), (5, 5)]
    assert opening.read_ranges(tmp_path / "file", asked) == [b"45", b"012", b"89", b"", b""]
    with pytest.raises(FileNotFoundError, match="gone"):
        opening.read_ranges(tmp_path / "gone", asked)


def test_what_is_not_there_is_none_and_what_cannot_be_seen_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    asked = (opening.is_there, opening.is_file, opening.is_folder)
    for path in (tmp_path / "gone", tmp_path / "file" / "below"):
        assert [ask(path) for ask in asked] == [False] * 3
    assert opening.names(tmp_path / "gone") == []
    assert opening.is_folder(tmp_path)
    assert opening.names(tmp_path, "f*") == ["file"]

    def closed(*_, **__):
        raise PermissionError(13, "Permission denied")

    for name in ("stat", "lstat", "listdir"):
        monkeypatch.setattr(os, name, closed)
    for ask in (*asked, opening.names):
        with pytest.raises(PermissionError):
            ask(tmp_path / "anything")
