"""Frames as a stream of Arrow, each made when it is asked for, by whichever thread asks.

polars has a stream for one frame alone. Its `collect_batches` makes frames in threads of its own, and Python aborts if
one is still at them as the process ends, as after a query with LIMIT.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import pyarrow as pa


def stream_of(schema: pl.Schema, frames: Generator[pl.DataFrame]) -> object:
    """What `__arrow_c_stream__` is to return: the rows of frames with these columns.

    The frames are closed once no more rows are wanted. An error that one raises is the stream's, as text.
    """
    import pyarrow as pa

    columns = _as_arrow(pl.DataFrame(schema=schema)).schema
    return pa.RecordBatchReader.from_batches(columns, _batches(frames)).__arrow_c_stream__()


def _batches(frames: Generator[pl.DataFrame]) -> "Iterator[pa.RecordBatch]":
    with closing(frames):
        while (frame := next(frames, None)) is not None:
            batches = _as_arrow(frame).to_batches()
            del frame  # and nothing here keeps it while the next one is made
            while batches:
                yield batches.pop(0)


def _as_arrow(frame: pl.DataFrame) -> "pa.Table":
    return frame.to_arrow(compat_level=pl.CompatLevel.newest())  # strings as polars has them, not copied
