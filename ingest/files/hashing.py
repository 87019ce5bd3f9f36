"""Hashes of files, of which a piece at a time is in memory."""

import hashlib
from functools import partial
from pathlib import Path

from ingest.files import opening


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file. Raises OSError."""
    with opening.to_read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """Hexadecimal md5 of a file: what S3 gives as ETag of most objects. Raises OSError."""
    with opening.to_read(path) as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def has_hash(path: Path, sha256: str) -> bool:
    """Whether the file of this hash, and no link to it, is under a name."""
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False
