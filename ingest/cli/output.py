"""What a command prints through: streams that never fail.

A command does its work whether or not anybody hears of it. So a stream that cannot be written (a full disk, a reader
that is gone, a terminal that was closed, a stream that never was) goes silent and remembers why. How a command ends
then is decided in one place, `exit_code`. Characters that a stream does not have are replaced.

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
"""128 + SIGPIPE: what a shell reports of any tool whose reader closed the pipe."""

NOT_TOLD = 5
"""An answer that cannot be written is no success."""

_STDERR = 2
_PLAIN = {"…": "...", "×": "x", "·": "-"}
_REPLACED = "ingest.replaced"


class Deed(int):
    """Exit code of a command whose work counts and not its words: it stands where nothing could be printed."""


def exit_code(code: int, answer: "Outlet") -> int:
    """How a command ends that would end with `code` and has printed to `answer`; says on stderr what failed.

    Only an answer that was asked for can fail, and what the command has to say by a code of its own comes first.
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
    # Windows calls a pipe without a reader an invalid argument.
    number = getattr(error, "errno", None)
    return number == errno.EPIPE or (sys.platform == "win32" and number == errno.EINVAL)


def open_streams() -> "Outlet":
    """Put outlets in the places of stdout and stderr; returns that of stdout."""
    _occupy()
    answer = Outlet(sys.stdout)
    sys.stdout, sys.stderr = answer, Outlet(sys.stderr)
    return answer


def _occupy() -> None:
    """Put /dev/null where stdin, stdout or stderr are closed.

    Otherwise the next file that is opened, the manifest perhaps, gets that number, and with it whatever a library
    writes to "stderr".
    """
    with suppress(OSError):  # no number is left that could be taken by mistake
        while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
            os.set_inheritable(number, True)
        os.close(number)


class Outlet(io.TextIOWrapper):
    """A text stream that goes silent where it cannot be written, and does not raise."""

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
        """Why something that was written did not arrive; None where all did, or nothing was written."""
        return self._door.lost


class _Door(io.RawIOBase):
    """Where the bytes of a stream leave, until they cannot any more."""

    def __init__(self, stream: io.TextIOWrapper | None) -> None:
        buffer = stream.buffer if stream else None
        self._raw = cast("io.RawIOBase | None", getattr(buffer, "raw", buffer))
        self.lost: Exception | None = None

    def write(self, data: "memoryview | bytes", /) -> int:  # type: ignore[override]
        """Write all of it, or drop it; returns its length in bytes."""
        if self.lost is None:
            try:
                self._send(memoryview(data))
            except (OSError, ValueError) as error:  # ValueError: somebody has closed the stream
                self.lost = error
            except KeyboardInterrupt:
                self.lost = BlockingIOError(errno.EINTR, "interrupted")  # whoever did not read then is not waited for
                raise
        return memoryview(data).nbytes

    def _send(self, left: memoryview) -> None:
        if self._raw is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        while left:
            if (count := self._raw.write(left)) is None:
                select.select([], [self._raw], [])  # a stream that another program has made non-blocking is full
            else:
                left = left[count:]

    def writable(self) -> bool:
        """It always is."""
        return True

    def isatty(self) -> bool:
        """Whether it leads to a terminal."""
        return self._raw is not None and self._raw.isatty()

    def fileno(self) -> int:
        """Number of the descriptor. Raises OSError where there is none."""
        return super().fileno() if self._raw is None else self._raw.fileno()

    @property
    def name(self) -> str:
        """As the stream's own."""
        return str(getattr(self._raw, "name", "closed"))


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Characters that the output does not have: our own signs plainly, all others as TOML and Python escape them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or _escaped(ord(char)) for char in lost), error.end


def _escaped(point: int) -> str:
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
