"""A text without the rows that cannot be read: all other lines as they are, in their order. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ingest import finding
from ingest.finding import MAX_EXAMPLES, Finding
from ingest.market.datasets import Dataset
from ingest.splitting.part_text import Offsets
from ingest.splitting.streamed import Pieces, opened
from ingest.splitting.unreadable.bad_rows import RowReader

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ReadableRows:
    """The rows of a text that can be read. `pieces` raises UnreadableFile where there is more to it than bad rows."""

    text: Pieces
    dataset: Dataset

    def pieces(self) -> Iterator[bytes]:
        """The header, and the rows that can be read, from the start each time."""
        header, texts = opened(self.text(), self.dataset, _CHUNK)
        reader = RowReader(header)
        yield header.line
        for text in texts:
            edges = reader.edges(text)
            bad = list(reader.bad(text, edges))
            yield b"".join(text[begin:end] for begin, end in _between(edges, bad))

    def left_out(self) -> tuple[Finding, int]:
        """The finding on the rows that cannot be read, whose `count` may be 0, and the number of all rows."""
        header, texts = opened(self.text(), self.dataset, _CHUNK)
        reader = RowReader(header)
        rows = count = 0
        examples = list[str]()
        for text in texts:
            edges = reader.edges(text)
            rows += len(edges) - 1
            for row in reader.bad(text, edges):
                count += 1
                if len(examples) < MAX_EXAMPLES:
                    examples.append(reader.field(text[edges[row] : edges[row + 1]], "ticker"))
        return Finding(finding.LEFT_OUT, count, tuple(filter(None, examples))), rows


def _between(edges: Offsets, bad: list[int]) -> Iterator[tuple[int, int]]:
    """Where the text between the bad rows begins and ends."""
    for before, after in pairwise([-1, *bad, len(edges) - 1]):
        yield int(edges[before + 1]), int(edges[after])
