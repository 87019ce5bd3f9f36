"""The loopback server in its own process, with a script of faults that can be changed between runs.

It speaks lines of JSON: first its address; then, for each line that requests a script ({"seed": 1, "silence": 0}, or
null for none), what happened to the requests since the previous line.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from benchmarks.measure import CHECKOUT, python
from ingest.demo.files.market import Market
from ingest.demo.servers import faults, loopback

STRIKES = 3
SHARE = 1 / 3
FAULTS: dict[str, faults.Fault] = {
    "503 SlowDown": faults.SLOW_DOWN,
    "500": faults.INTERNAL_ERROR,
    "429, Retry-After 1": faults.too_many_requests(1),
    "reset before the body": faults.ResetBefore(),
    "reset within the body": faults.ResetMidway(50_000),
    "a byte short, HTTP shows it": faults.ShortBody(1),
    "a byte short, HTTP agrees": faults.ShortLength(1),
    "a flipped byte": faults.FlipByte(100_000),
    "XML error, status 200": faults.XmlError200(),
}
SILENCE = "silence within the body"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server saw of a run: all requests, and the faults it injected, by kind."""

    requests: int
    struck: dict[str, int]


class FailingServer:
    """The parent's end of the conversation."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.endpoint_url: str = self._hear()

    def begin(self, seed: int | None, silence: bool) -> None:
        """Inject faults from now on as the seed says, or none."""
        self._say({"seed": seed, "silence": silence} if seed is not None else None)

    def end(self) -> Seen:
        """Stop injecting faults; returns what was seen since `begin`."""
        self._say(None)
        return Seen(*self._heard)

    def _say(self, what: object) -> None:
        print(json.dumps(what), file=self._process.stdin, flush=True)
        self._heard = self._hear()

    def _hear(self):  # type: ignore[no-untyped-def]
        return json.loads(self._process.stdout.readline())  # type: ignore[union-attr]


@contextmanager
def failing_server(days: Sequence[date], rows: int) -> Iterator[FailingServer]:
    """Run the server, filled with the files of these days; it ends with the block."""
    command = python("benchmarks.failing_server", rows, *days)
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield FailingServer(process)
        finally:
            process.kill()


class _Watched:
    """A script that counts requests and the faults it injects."""

    def __init__(self, order: dict[str, int] | None) -> None:
        named = {**FAULTS, SILENCE: faults.Silence(50_000)} if order and order["silence"] else FAULTS
        self._names = {fault: name for name, fault in named.items()}
        self._script = faults.some_of(list(self._names), order["seed"], SHARE, STRIKES) if order else None
        self._asked, self._struck = Counter[str](), Counter[str]()

    def __call__(self, request: faults.Request) -> faults.Fault | None:
        self._asked[request.key] += 1
        # Key and count decide a request's fault, so each run starts counting again.
        fault = self._script(request._replace(nth=self._asked[request.key])) if self._script else None
        if fault:
            self._struck[self._names[fault]] += 1
        return fault

    def seen(self) -> tuple[int, dict[str, int]]:
        """The figures of `Seen`."""
        return self._asked.total(), {name: self._struck[name] for name in self._names.values()}


def main() -> None:
    """Serve until the parent ends."""
    rows, *names = sys.argv[1:]
    objects = dict(Market(rows=int(rows)).objects(map(date.fromisoformat, names)))
    with loopback.serve(objects) as server:
        print(json.dumps(server.endpoint_url), flush=True)
        script = server.faults = _Watched(None)
        for line in sys.stdin:
            script, before = _Watched(json.loads(line)), script
            server.faults = script
            print(json.dumps(before.seen()), flush=True)


if __name__ == "__main__":
    main()
