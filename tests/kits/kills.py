"""Kills in this process: an exception that no code of ours catches takes the place of the signal."""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from ingest.cache.manifest.database import Database
from ingest.files import durable


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def dying(fatal):
    """Kill at the n-th durable step, before it is done; yields the names of the steps that were begun."""
    steps = []

    def wrapped(owner, name):
        original = getattr(owner, name)

        def step(*arguments, **named):
            steps.append(name)
            if len(steps) == fatal:
                raise Killed
            return original(*arguments, **named)

        return patch.object(owner, name, step)

    with ExitStack() as patches:
        for name in ("stage", "publish", "sync_folder", "remove"):
            patches.enter_context(wrapped(durable, name))
        patches.enter_context(wrapped(Database, "transaction"))
        yield steps
