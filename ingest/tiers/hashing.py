"""Hashes of files, of which a piece at a time is in memory."""

import hashlib
import stat
from functools import partial
from pathlib import Path

from ingest import files


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file. Raises OSError."""
    with files.to_read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """Hexadecimal md5 of a file: what S3 gives as ETag of most objects. Raises OSError."""
    with files.to_read(path) as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def is_file(path: Path, sha256: str) -> bool:
    """Whether the file of this hash, and no link to it, is under a name."""
    try:
        if not_a_file(path):
            return False
        return sha256_of(path) == sha256
    except OSError:
        return False


def not_a_file(path: Path) -> str | None:
    """What is under a name, in words, where that is a link, a folder or a pipe; None for a file. Raises OSError."""
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        return None
    named = ((stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"))
    return f"it is {next((name for is_one, name in named if is_one(mode)), 'a device')}, not a file"
