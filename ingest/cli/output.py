"""The streams that a command prints through; they never fail.

A command does its work whether or not anyone reads its output. So a stream that cannot be written (a full disk, a
closed pipe, a closed terminal, a stream that was never open) goes silent and remembers why. `exit_code` alone decides
how the command then ends. Characters that a stream cannot encode are replaced.

Nothing here touches the cache: a crash leaves what the command's own work leaves.
"""

import codecs
import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import TextIO, cast

from ingest.errors import printable

READER_GONE = 141
"""128 + SIGPIPE: what a shell reports for any tool whose reader closed the pipe."""

NOT_TOLD = 5
"""Exit code when the answer could not be written."""

_STDERR = 2
_PLAIN = {"…": "...", "×": "x", "·": "-"}
_REPLACED = "ingest.replaced"


class Deed(int):
    """Exit code of a command whose work matters, not its output: it holds even if nothing could be printed."""


def exit_code(code: int, answer: "Outlet") -> int:
    """The final exit code of a command that ends with `code` and printed to `answer`; stderr says what failed.

    A lost answer fails only a command that exists to print it, and never hides the command's own error code.
    """
    answer.flush()
    if code or isinstance(code, Deed) or answer.lost is None:
        return code
    if _reader_is_gone(answer.lost):
        return READER_GONE
    why = getattr(answer.lost, "strerror", None) or answer.lost
    sys.stderr.write(f"error: the output cannot be written: {printable(str(why))}\n")
    return NOT_TOLD


def _reader_is_gone(error: Exception) -> bool:
    # Windows reports a pipe without a reader as an invalid argument.
    number = getattr(error, "errno", None)
    return number == errno.EPIPE or (sys.platform == "win32" and number == errno.EINVAL)


def open_streams() -> "Outlet":
    """Replace stdout and stderr with outlets; returns that of stdout."""
    _occupy()
    answer = Outlet(sys.stdout)
    sys.stdout, sys.stderr = answer, Outlet(sys.stderr)
    return answer


def _occupy() -> None:
    """Open /dev/null in place of a closed stdin, stdout or stderr.

    Otherwise the next file opened, perhaps the manifest, gets that descriptor, and with it whatever a library writes
    to "stderr".
    """
    with suppress(OSError):  # no descriptors left, so none can be taken by mistake
        while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
            os.set_inheritable(number, True)
        os.close(number)


class Outlet(io.TextIOWrapper):
    """A text stream that goes silent instead of raising when it cannot be written."""

    def __init__(self, stream: TextIO | None) -> None:
        codecs.register_error(_REPLACED, _replaced)
        of = cast("io.TextIOWrapper | None", stream)  # None: closed before this process began
        self._door = _Door(of)
        unbuffered = of is not None and of.write_through  # python -u
        super().__init__(
            self._door if unbuffered else io.BufferedWriter(cast("io.RawIOBase", self._door)),
            encoding=of.encoding if of else "utf-8",
            errors=_REPLACED,
            line_buffering=of is not None and of.line_buffering,
            write_through=unbuffered,
        )

    @property
    def lost(self) -> Exception | None:
        """Why some output was lost; None if all of it arrived, or none was written."""
        return self._door.lost

    def go_on(self) -> None:
        """Write again after Ctrl-C ended a write."""
        if getattr(self._door.lost, "errno", None) == errno.EINTR:
            self._door.lost = None


def go_on() -> None:
    """Print again after Ctrl-C, where a command goes on after it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Outlet):
            stream.go_on()


class _Door(io.RawIOBase):
    """Writes the bytes of a stream until that fails, and drops them from then on."""

    def __init__(self, stream: io.TextIOWrapper | None) -> None:
        buffer = stream.buffer if stream else None
        self._raw = cast("io.RawIOBase | None", getattr(buffer, "raw", buffer))
        self.lost: Exception | None = None

    def write(self, data: "memoryview | bytes", /) -> int:  # type: ignore[override]
        """Write all of it, or drop it; returns its length in bytes."""
        if self.lost is None:
            try:
                self._send(memoryview(data))
            except (OSError, ValueError) as error:  # ValueError: the stream was closed
                self.lost = error
            except KeyboardInterrupt:
                self.lost = BlockingIOError(errno.EINTR, "interrupted")  # stop waiting for a reader that does not read
                raise
        return memoryview(data).nbytes

    def _send(self, left: memoryview) -> None:
        if self._raw is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        while left:
            if (count := self._raw.write(left)) is None:
                select.select([], [self._raw], [])  # another program made the stream non-blocking, and it is full
            else:
                left = left[count:]

    def writable(self) -> bool:
        """Always true."""
        return True

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._raw is not None and self._raw.isatty()

    def fileno(self) -> int:
        """The file descriptor. Raises OSError if there is none."""
        return super().fileno() if self._raw is None else self._raw.fileno()

    @property
    def name(self) -> str:
        """The name of the stream itself."""
        return str(getattr(self._raw, "name", "closed"))


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Replace what the output cannot encode: our own signs by plain ones, all else by TOML's and Python's escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or _escaped(ord(char)) for char in lost), error.end


def _escaped(point: int) -> str:
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
