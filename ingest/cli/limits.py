"""The system's limits for a process: open files, threads, memory.

A run raises its limit of open files as far as it may, and downloads fewer files at once if that is still low. An error
from a limit that is reached all the same names the limit instead of being reported as a bug. Nothing here writes files.
"""

import errno
import sys
from collections.abc import Iterator

from ingest.errors import IngestError
from ingest.settings import Settings

USED_UP = 5
_WANTED = 4096
_OWN = 24
"""Files that a run keeps open besides its downloads: the lock, the manifest, parts, the interpreter's own."""
_OF_A_DOWNLOAD = 2
_FILES = "no more files can be opened: raise the limit (`ulimit -n`), or lower [source] concurrency"
_THREADS = "no more threads can be started: raise the limit (`ulimit -u`, or the container's number of processes)"
_MEMORY = "out of memory: lower [limits] max_bytes_in_flight, or give the process more"
_CONSEQUENCE = ""
"""Marks an error that only follows from another one."""


def used_up(error: BaseException) -> str | None:
    """The limit that caused an error, in words; None if the error has any other cause as well."""
    found = {_cause(one) for one in _leaves(error) if not isinstance(one, IngestError)} - {_CONSEQUENCE}
    return None if None in found else next(iter(found), None)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for one in error.exceptions:
        yield from _leaves(one)


def _cause(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return _FILES
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return _THREADS
    if type(error).__name__ == "PanicException":  # polars' panics, whose class cannot be imported
        return _of_a_panic(str(error))
    return _MEMORY if isinstance(error, MemoryError) else None


def _of_a_panic(words: str) -> str | None:
    if "poisoned" in words:
        return _CONSEQUENCE
    causes = {errno.EMFILE: _FILES, errno.ENFILE: _FILES, errno.EAGAIN: _THREADS, errno.ENOMEM: _MEMORY}
    return next((cause for number, cause in causes.items() if f"code: {number}," in words), None)


def within_limits(settings: Settings) -> Settings:
    """The settings, with no more downloads at once than the limit of open files allows."""
    allowed = max(1, (_open_files() - _OWN) // _OF_A_DOWNLOAD)
    if settings.source.concurrency <= allowed:
        return settings
    return settings.model_copy(update={"source": settings.source.model_copy(update={"concurrency": allowed})})


def _open_files() -> int:
    """Raise this process's limit of open files as far as allowed, and return it."""
    if sys.platform == "win32":
        return _WANTED
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most if soft == resource.RLIM_INFINITY else max(soft, most)
