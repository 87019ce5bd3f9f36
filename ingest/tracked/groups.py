"""CSVs that are made together: many at once read a part less often, and few hold less memory. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from ingest.cache.manifest.records import Projection


def in_groups(
    rows: Iterable[Projection], expected: Callable[[Projection], float], most: int
) -> Iterator[Sequence[Projection]]:
    """CSVs that have `most` rows together, if each has as many as are `expected`; one that has more is alone.

    What is expected of a CSV may change with what the groups before it turned out to have.
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
