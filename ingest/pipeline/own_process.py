"""Tunes a process that is there for runs alone: its memory, its garbage, the threads of polars."""

import gc
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 32 << 20
_MOST_MAPPED = 32 << 20
"""glibc accepts no larger one."""


def tune_process() -> None:
    """Tune this process for a run: many small files in parallel, and modules that never become garbage."""
    # Sessions are split in parallel: within one small file more threads only wait for each other. A single one parses
    # one session at a time, which two cores do not feel: the rest of a session takes longer.
    os.environ.setdefault("POLARS_MAX_THREADS", "2" if (os.cpu_count() or 1) > 2 else "1")
    _keep_freed_memory()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def _keep_freed_memory() -> None:
    """Keep up to 32 MiB of freed memory in each arena instead of returning it, where the C library can.

    A run needs the same few megabytes again for each batch of sessions. Returned, each page comes back cleared, at the
    cost of a page fault.
    """
    if sys.platform != "linux":
        return
    import ctypes  # only for runs

    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _MOST_MAPPED)
