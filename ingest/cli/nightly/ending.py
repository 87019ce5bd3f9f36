"""How a run ended, in words: a summary of one line, and the last lines of its output."""

import platform
import traceback
from collections import deque
from dataclasses import dataclass

from ingest.cli.examples import EXITS
from ingest.cli.limits import USED_UP, used_up
from ingest.cli.rendering.hints import told
from ingest.errors import CacheLocked, IngestError, printable

CRASHED = 1
INTERRUPTED = 130
BUSY = CacheLocked.exit_code
"""Another run holds the cache: this one did nothing, and nothing is wrong. Not so if another machine has taken over."""

_LINES = 500
_WIDE = 2000
"""Characters of a line that are kept."""

_PING_BYTES = 100_000
"""healthchecks.io keeps so much of a ping's body."""


class Tail:
    """A stream that keeps the last lines written to it."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES)

    def write(self, text: str) -> int:
        """Keep the lines of a text."""
        self._lines.extend(line if len(line) <= _WIDE else f"{line[:_WIDE]}…" for line in text.splitlines())
        return len(text)

    def flush(self) -> None:
        """Do nothing: what is written is there."""

    def text(self) -> str:
        """All that is kept."""
        return "".join(f"{line}\n" for line in self._lines)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: exit code, a summary of one line, and the last lines of the output; without secrets.

    `displaced`: another machine is the writer of the object store, so this one stores nothing until somebody looks.
    """

    code: int
    summary: str
    lines: str
    displaced: bool = False

    @property
    def busy(self) -> bool:
        """Whether another run on this cache tells how it ends."""
        return self.code == BUSY and not self.displaced

    @property
    def failed(self) -> bool:
        """Whether somebody should look; 130 counts, since the shutdown of a machine interrupts a run as Ctrl-C does."""
        return self.code != 0 and not self.busy

    @property
    def body(self) -> bytes:
        """The summary and the last lines, in as many bytes as healthchecks.io keeps; whole lines if they fit."""
        head = f"{self.summary}\n".encode()
        tail = self.lines.encode(errors="replace")[-(_PING_BYTES - len(head)) :]
        return head + tail.decode(errors="ignore").encode()


def summary_of(code: int) -> str:
    """One line on how a run ended: on which machine, with which exit code, what that means."""
    meaning = "it crashed" if code == CRASHED else EXITS["run"].get(code, "")
    return printable(f"ingest run on {platform.node()} ended with {code}" + (f": {meaning}" if meaning else ""))


def explained(error: BaseException) -> tuple[int, str]:
    """The exit code to which an error leads, and its message; of a bug the last lines of the traceback."""
    if isinstance(error, IngestError):
        return error.exit_code, f"error: {told(error)}"
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    if words := used_up(error):
        return USED_UP, f"error: {words}"
    return CRASHED, "\n".join(map(printable, "".join(traceback.format_exception(error)).splitlines()[-30:]))
