"""How this process treats memory that it has freed: glibc's mallopt(3)."""

import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 32 << 20
_MOST_MAPPED = 32 << 20
"""glibc accepts no larger one."""


def keep_freed_memory() -> None:
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
