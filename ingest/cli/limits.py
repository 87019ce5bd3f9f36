"""What the system gives a process: so many open files, so many threads, so much memory.

A run asks for as many open files as it may have, and downloads fewer files at once where that is few. What is used up
all the same is named, and no bug. A crash leaves what any other does.
"""

import errno
import sys
from collections.abc import Iterator

from ingest.errors import IngestError
from ingest.settings import Settings

USED_UP = 5
_WANTED = 4096
_OWN = 24
"""Files that a run has open beside its downloads: the lock, the manifest, parts, and what the interpreter needs."""
_OF_A_DOWNLOAD = 2
_FILES = "no more files can be opened: raise the limit (`ulimit -n`), or lower [source] concurrency"
_THREADS = "no more threads can be started: raise the limit (`ulimit -u`, or the container's number of processes)"
_MEMORY = "out of memory: lower [limits] max_bytes_in_flight, or give the process more"
_CONSEQUENCE = ""
"""Of what another error has left."""


def used_up(error: BaseException) -> str | None:
    """In words, what the system did not give any more; None where an error has another cause, too."""
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
    if type(error).__name__ == "PanicException":  # how polars ends, by no class that could be imported
        return _of_a_panic(str(error))
    return _MEMORY if isinstance(error, MemoryError) else None


def _of_a_panic(words: str) -> str | None:
    if "poisoned" in words:
        return _CONSEQUENCE
    causes = {errno.EMFILE: _FILES, errno.ENFILE: _FILES, errno.EAGAIN: _THREADS, errno.ENOMEM: _MEMORY}
    return next((cause for number, cause in causes.items() if f"code: {number}," in words), None)


def within_limits(settings: Settings) -> Settings:
    """Settings whose downloads at once fit into the files that may be open."""
    allowed = max(1, (_open_files() - _OWN) // _OF_A_DOWNLOAD)
    if settings.source.concurrency <= allowed:
        return settings
    return settings.model_copy(update={"source": settings.source.model_copy(update={"concurrency": allowed})})


def _open_files() -> int:
    """How many files this process may have open, after it has asked for more than the usual few."""
    if sys.platform == "win32":
        return _WANTED
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most if soft == resource.RLIM_INFINITY else max(soft, most)
