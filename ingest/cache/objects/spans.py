"""Which bytes of an object to request so that wanted ranges are among them. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Spans:
    """Ascending spans of bytes with gaps between them: (begin, end), in bytes."""

    all: tuple[tuple[int, int], ...]

    @classmethod
    def covering(cls, ranges: Sequence[tuple[int, int]], gap: int) -> Self:
        """Spans with all ranges, where those that are at most `gap` bytes apart share one."""
        spans: list[tuple[int, int]] = []
        for begin, end in sorted(one for one in ranges if one[0] < one[1]):
            if spans and begin - spans[-1][1] <= gap:
                spans[-1] = (spans[-1][0], max(spans[-1][1], end))
            else:
                spans.append((begin, end))
        return cls(tuple(spans))

    def up_to(self, size: int) -> Self:
        """The same, as far as an object of this size has them."""
        return type(self)(tuple((begin, min(end, size)) for begin, end in self.all if begin < size))

    def are_filled_by(self, bodies: Sequence[bytes]) -> bool:
        """Whether each span has all its bytes."""
        return [len(body) for body in bodies] == [end - begin for begin, end in self.all]

    def cut(self, bodies: Sequence[bytes], ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The ranges, out of the bytes of each span; fewer bytes where the spans end before."""
        starts = [begin for begin, _ in self.all]
        found = []
        for begin, end in ranges:
            at = bisect_right(starts, begin) - 1
            found.append(bodies[at][begin - starts[at] : max(end, begin) - starts[at]] if at >= 0 else b"")
        return found
