"""Hashes of files, read piece by piece."""

import hashlib
from functools import partial
from io import BufferedReader, BytesIO
from pathlib import Path

from ingest.files import opening


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file. Raises OSError."""
    with opening.to_read(path) as file:
        return sha256_in(file)


def sha256_in(file: BufferedReader | BytesIO) -> str:
    """Hexadecimal sha256 of an open file. Raises OSError."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """Hexadecimal md5 of a file, which S3 uses as the ETag of most objects. Raises OSError."""
    with opening.to_read(path) as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
