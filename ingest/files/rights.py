"""Which permission is missing if the system refuses access: for which user, which path, and which bit."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

_DEEDS = {os.R_OK: "read", os.W_OK: "write", os.X_OK: "enter"}
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_READ_ONLY = getattr(os, "ST_RDONLY", 1)


def missing_right(path: Path, write: bool = False) -> str | None:
    """The first permission that this process is missing on the way to a file, in words; None if none is missing.

    To `write` a file means to create others beside it, too.
    """
    whole = path.absolute()
    wanted = [(folder, os.X_OK) for folder in reversed(whole.parents)]
    wanted += [(whole.parent, os.W_OK)] if write else []
    wanted += [(whole, os.R_OK), *([(whole, os.W_OK)] if write else [])]
    for one, bit in wanted:
        if not os.path.lexists(one):
            return None
        if not _may(one, bit):
            return _words(one, bit)
    return None


def with_missing(said: str, path: Path, write: bool = False) -> str:
    """The system's message about a path, followed by the missing permission, if any."""
    found = missing_right(path, write)
    return f"{said}: {found}" if found else said


def explained(said: str, error: OSError, path: Path, write: bool = False) -> str:
    """The same for an error, if it is about permissions at all."""
    return with_missing(said, path, write) if error.errno in _REFUSED else said


def _may(path: Path, bit: int) -> bool:
    return os.access(path, bit, effective_ids=os.access in os.supports_effective_ids)


def _words(path: Path, bit: int) -> str:
    deed = _DEEDS[bit]
    with suppress(OSError, AttributeError):
        if bit == os.W_OK and os.statvfs(path).f_flag & _READ_ONLY:
            return f"the file system of {path} is mounted read-only"
    with suppress(OSError):
        return f"{_who()} may not {deed} {path}, which is {_owned(path)}"
    return f"{_who()} may not {deed} {path}"


def _owned(path: Path) -> str:
    found = path.stat()
    return f"{stat.filemode(found.st_mode)} {_name('pwd', found.st_uid)}:{_name('grp', found.st_gid)}"


def _who() -> str:
    if not hasattr(os, "geteuid"):
        return "this user"
    name, number = _name("pwd", os.geteuid()), os.geteuid()
    return f"user {name}" if name == str(number) else f"user {name} (uid {number})"


def _name(table: str, number: int) -> str:
    """Name of a user or a group; its number if there is no entry, or no such table (Windows)."""
    with suppress(ImportError, KeyError):
        if table == "pwd":
            import pwd

            return pwd.getpwuid(number).pw_name
        import grp

        return grp.getgrgid(number).gr_name
    return str(number)
