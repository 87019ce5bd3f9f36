"""A move that is killed: `dying_move.py POINT CALL` with the settings in the environment and in config.toml.

POINT is `module:class.method`; the process is killed when it is called for the CALLth time, before it does anything.
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
    original, left = getattr(target, name), [int(sys.argv[2])]

    def dying(*given, **named):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*given, **named)

    setattr(target, name, dying)
    from ingest import settings
    from ingest.maintenance.moving import move, target_of

    chosen = settings.load()
    move(chosen, target_of(chosen, None))


if __name__ == "__main__":
    main()
