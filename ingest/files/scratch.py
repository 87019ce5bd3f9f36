"""A folder of temporary files that a killed process leaves behind and the next one of its user removes.

Its process holds a lock of the folder itself (flock), which ends with it. The folder gets its name once it is locked:
so whoever can lock a folder of that name knows that its process is dead. The name has the computer's, since a folder of
temporary files may be shared, and locks need not be.
"""

import os
import platform
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class Scratch:
    """A new, empty folder for the temporary files of this process, after those of dead ones were removed."""

    def __init__(self, kind: str) -> None:
        """Make it; `kind` tells those apart that may remove each other. Raises OSError if there is no room for one."""
        draft = Path(tempfile.mkdtemp(prefix="ingest-"))
        self._lock = _locked(draft)
        if self._lock is None:
            self.path = draft
            return
        sweep(kind)
        self.path = draft.with_name(_beginning(kind) + draft.name.removeprefix("ingest-"))
        draft.rename(self.path)

    def discard(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(kind: str) -> None:
    """Remove the folders of this kind, computer and user whose processes have ended."""
    parent, begins = Path(tempfile.gettempdir()), _beginning(kind)
    with suppress(OSError):  # it may not be listed
        for path in [one for one in parent.iterdir() if one.name.startswith(begins)]:
            if (lock := _locked(path)) is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _beginning(kind: str) -> str:
    return f"ingest-{kind}-{platform.node()}-".replace(os.sep, "_")


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the lock of our folder; None if another process does, or if there are no locks."""
    if sys.platform == "win32":
        return None
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with suppress(OSError):
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
        os.close(descriptor)
    return None
