"""Groups of what is in memory together: large groups read a part less often, small ones need less memory. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


def in_groups(items: Iterable[_Item], size: Callable[[_Item], float], most: float) -> Iterator[Sequence[_Item]]:
    """Groups of items, in their order, with at most `most` together by the `size` of each; a larger item is alone.

    `size` may change between groups, with what is known by then.
    """
    group, together = list[_Item](), 0.0
    for item in items:
        if group and together + size(item) > most:
            yield group
            group, together = [], 0.0
        group.append(item)
        together += size(item)
    if group:
        yield group
