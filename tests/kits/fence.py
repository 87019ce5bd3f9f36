"""A fence around writes: records every path that this process opens for writing, creates, moves or removes.

Python's audit hooks see each such call, also from libraries in Python. The second half covers compiled libraries: all
files outside the allowed folders must be the same before and after.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.remove": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.utime": 1,
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
    "shutil.rmtree": 1,
}
"""CPython's audit events that change the file system, and how many of their first arguments are paths."""

_NOWHERE = (os.devnull, ":memory:")

_noted: list[list[str]] = []
_hooked: list[bool] = []


def _hook(event, arguments):
    if _noted and (event in _PATHS or event in ("open", "sqlite3.connect")):
        for path in _written(event, arguments):
            if isinstance(path, str | bytes | os.PathLike):
                _noted[-1].append(os.fsdecode(path))


def _written(event, arguments):
    if event == "open":
        path, _, flags = arguments
        return [path] if flags & _WRITING else []
    if event == "sqlite3.connect":
        (name,) = arguments
        text = os.fsdecode(name)
        return [] if "mode=ro" in text else [unquote(text.removeprefix("file:").partition("?")[0])]
    return arguments[: _PATHS[event]]


@contextmanager
def fenced(*allowed: Path, around: Path) -> Iterator[list[str]]:
    """Fail if anything outside the allowed folders is written, or if a file `around` them has changed afterwards."""
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)
    before = _others(around, allowed)
    noted: list[str] = []
    with patch.object(sys, "dont_write_bytecode", True):
        _noted.append(noted)
        try:
            yield noted
        finally:
            _noted.remove(noted)
    outside = [path for path in noted if path not in _NOWHERE and not _inside(Path(path).absolute(), allowed)]
    assert not outside, f"written outside: {outside[:5]}"
    after = _others(around, allowed)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    assert not changed, f"not as before: {changed[:5]}"


def _inside(path: Path, allowed: tuple[Path, ...]) -> bool:
    # Links are followed, as in the system's open.
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in allowed)


def _others(around: Path, allowed: tuple[Path, ...]) -> dict[str, tuple[int, bytes]]:
    """Every file and folder around the allowed ones, with its modification time and content."""
    found = {}
    for path in around.rglob("*"):
        if not any(path.is_relative_to(folder) for folder in allowed):
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[str(path)] = (path.lstat().st_mtime_ns if path.is_file() else 0, content)
    return found
