"""Where a manifest may lie: SQLite's write-ahead log needs shared memory, which network file systems lack."""

import re
from pathlib import Path

from ingest.errors import CacheError

NETWORK = frozenset({
    *("9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"),
    *("fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "smb3", "smbfs"),
})  # fmt: skip
_MOUNTS = Path("/proc/self/mountinfo")


def refuse_network(folder: Path, mounts: Path = _MOUNTS) -> None:
    """Raise CacheError where a folder is on a network file system. Known on Linux alone; elsewhere all is let pass."""
    kind = _kind(folder.resolve(), mounts.read_text(errors="replace")) if mounts.exists() else ""
    if kind in NETWORK:
        raise CacheError(
            f"the cache {folder} is on a network file system ({kind}), where SQLite cannot keep its promises: "
            "point [cache] root to a local disk"
        )


def _kind(folder: Path, mountinfo: str) -> str:
    """Type of the file system that holds a folder: that of the longest mount point above it (proc(5), mountinfo)."""
    mounts = [line.partition(" - ") for line in mountinfo.splitlines()]
    points = {_unescaped(left.split()[4]): right.split()[0] for left, _, right in mounts}
    above = [point for point in points if folder.is_relative_to(point)]
    return points[max(above, key=len)] if above else ""


def _unescaped(point: str) -> str:
    return re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point)
