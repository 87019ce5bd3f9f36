"""Reads that take a while each, several at once: what comes of them is in order, as if they were made one by one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Read = TypeVar("_Read")


def read_ahead(read: Callable[[_Item], _Read], items: Iterable[_Item], ahead: int) -> Iterator[_Read]:
    """What `read` makes of each item, in their order; up to `ahead` reads are under way, in threads.

    Raises what a read has raised, at its place in the order; later reads may have been made in vain.
    """
    if ahead <= 1:
        yield from map(read, items)
        return
    pool = ThreadPoolExecutor(ahead, "read-ahead")
    try:
        yield from _in_turn(pool, read, items, ahead)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _in_turn(
    pool: ThreadPoolExecutor, read: Callable[[_Item], _Read], items: Iterable[_Item], ahead: int
) -> Iterator[_Read]:
    under_way = deque[Future[_Read]]()
    for item in items:
        under_way.append(pool.submit(read, item))
        if len(under_way) == ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()
