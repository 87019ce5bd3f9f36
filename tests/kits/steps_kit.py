"""Measures SQLite's work: steps of its virtual machine, which grow with the rows it reads, and never vary."""

import sqlite3
from collections.abc import Callable
from functools import partial

import pytest

_EVERY = 10


def steps_of(action: Callable[[], object]) -> int:
    """Steps, in tens, of all connections opened while `action` runs."""
    count = [0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", partial(_connected, sqlite3.connect, count))
        action()
    return count[0]


def _connected(connect: Callable[..., sqlite3.Connection], count: list[int], *given, **named) -> sqlite3.Connection:
    def step() -> int:
        count[0] += 1
        return 0

    connection = connect(*given, **named)
    connection.set_progress_handler(step, _EVERY)
    return connection
