"""Reads that take a while each, several at once: what comes of them is in order, as if they were made one by one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Read = TypeVar("_Read")

MOST = 16 << 20
"""Weight, in packed bytes, of what is read ahead together to be unpacked: text takes some ten times as much."""

MOST_PACKED = 64 << 20
"""The same, if only one member at a time is unpacked."""


def _nothing(_: object) -> int:
    return 0


def read_ahead(
    read: Callable[[_Item], _Read],
    items: Iterable[_Item],
    ahead: int,
    weight: Callable[[_Item], int] = _nothing,
    most: int = MOST,
) -> Iterator[_Read]:
    """What `read` makes of each item, in their order; up to `ahead` reads are under way, in threads.

    `weight` says what a read takes, in packed bytes: no further one begins while `most` are under way, or done and not
    taken yet. Raises what a read has raised, at its place in the order; later reads may have been
    made in vain.
    """
    if ahead <= 1:
        yield from map(read, items)
        return
    pool = ThreadPoolExecutor(ahead, "read-ahead")
    try:
        yield from _in_turn(pool, read, ((item, weight(item)) for item in items), ahead, most)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _in_turn(
    pool: ThreadPoolExecutor, read: Callable[[_Item], _Read], items: Iterable[tuple[_Item, int]], ahead: int, most: int
) -> Iterator[_Read]:
    under_way = deque[tuple[Future[_Read], int]]()
    together = 0
    for item, size in items:
        under_way.append((pool.submit(read, item), size))
        together += size
        while len(under_way) == ahead or (under_way and together >= most):
            first, taken = under_way.popleft()
            yield first.result()
            together -= taken
    while under_way:
        yield under_way.popleft()[0].result()
