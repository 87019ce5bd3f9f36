"""Groups of CSVs that are made together: large groups read a part less often, small ones need less memory. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from ingest.cache.manifest.records import Projection


def in_groups(
    rows: Iterable[Projection], expected: Callable[[Projection], float], most: int
) -> Iterator[Sequence[Projection]]:
    """Groups of CSVs with at most `most` rows together, by the `expected` rows of each; a larger CSV is its own group.

    `expected` may change between groups, with the actual rows of earlier ones.
    """
    group, size = list[Projection](), 0.0
    for row in rows:
        if group and size + expected(row) > most:
            yield group
            group, size = [], 0.0
        group.append(row)
        size += expected(row)
    if group:
        yield group
