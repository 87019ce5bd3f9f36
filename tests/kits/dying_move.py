"""`ingest move --yes` that gets a signal on its way: `dying_move.py POINT CALL SIGNAL`.

POINT is `module:class.method`; the signal comes when that is called for the CALLth time, before it does anything.
"""

import importlib
import os
import signal
import sys


def main() -> None:
    module, _, path = sys.argv[1].partition(":")
    owner, _, name = path.rpartition(".")
    target = importlib.import_module(module)
    for one in filter(None, owner.split(".")):
        target = getattr(target, one)
    original, left, sent = getattr(target, name), [int(sys.argv[2])], signal.Signals[sys.argv[3]]

    def dying(*given, **named):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), sent)
        return original(*given, **named)

    setattr(target, name, dying)
    from ingest.__main__ import main as command

    sys.argv[1:] = ["move", "--yes", "--json"]
    command()


if __name__ == "__main__":
    main()
