"""Writes one file of the lake, row group by row group, so that memory does not grow with it."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, cast

import polars as pl
from polars.io.plugins import register_io_source

from ingest.cache.cache import Layout
from ingest.cache.layout import PartsOf
from ingest.cache.manifest.lake import FORMAT, LakeFile
from ingest.cache.parts.handed import HandedRows
from ingest.files import durable
from ingest.files.durable import Write
from ingest.lake.folder import LakePlace
from ingest.lake.frames import frames, lake_schema
from ingest.lake.partitions import Partition
from ingest.market.datasets import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP = 12_288
"""Rows of a row group. The statistics of a group say which tickers it has: with larger ones a reader of one ticker
decodes more, with smaller ones a reader of all has more to look at."""

_LEVEL = 1
"""Of zstd: the usual one, 3, takes a sixth more time to write a file, and saves 3 % of it."""


def write(
    layout: Layout,
    folder: LakePlace,
    partition: Partition,
    sessions: Sequence[PartsOf],
    handed: HandedRows | None = None,
) -> LakeFile:
    """Write the file of a partition, whose sessions these are, and put it in place; it is durable when this returns.

    A reader sees the old file or the new one. Several threads may write files. Raises CacheError.
    """
    file = folder.staging(partition.name)
    staged = durable.another(file)
    with durable.staging(file, under=staged) as put:
        sink = HashingSink(put)
        rows = _encode(frames(layout, sessions, handed=handed), layout.dataset, sink)
    done = folder.put(partition.name, staged)
    return LakeFile(
        partition=partition.name,
        contents=partition.contents,
        rows=rows,
        sha256=sink.sha256,
        size=done.size,
        mtime_ns=done.mtime_ns,
        place=folder.url,
        etag=done.etag,
    )


def _encode(found: Iterable[pl.DataFrame], dataset: Dataset, sink: "HashingSink") -> int:
    """Encode frames as one Parquet file; returns the number of its rows."""
    counts, failed = list[int](), list[Exception]()

    def source(*_: object) -> Iterator[pl.DataFrame]:
        try:
            for frame in found:
                counts.append(frame.height)
                yield frame
        except Exception as error:
            failed.append(error)
            raise

    rows = register_io_source(source, schema=lake_schema(dataset))
    try:
        sink_rows(rows, dataset, sink)
    except Exception as error:  # polars makes its own of what was raised on the way
        raise next(iter((*failed, *sink.failed)), error) from error
    return sum(counts)


def sink_rows(rows: pl.LazyFrame, dataset: Dataset, sink: "HashingSink", columns: "pa.Schema | None" = None) -> None:
    """Encode rows as those of the lake's files; `columns` gives them numbers. Raises what polars raises."""
    rows.sink_parquet(
        cast(IO[bytes], sink),
        compression_level=_LEVEL,
        row_group_size=_GROUP,
        metadata=_about(dataset),
        arrow_schema=columns,
    )


def _about(dataset: Dataset) -> dict[str, str]:
    """What a file says of itself: prices are as traded."""
    told = {"dataset": dataset.short, "interval": dataset.interval, "adjust": "none", "format": str(FORMAT)}
    return {f"ingest.{name}": value for name, value in told.items()}


class HashingSink(io.RawIOBase):
    """Takes the bytes of a file, and hashes them."""

    def __init__(self, put: Write) -> None:
        self._put, self._hash = put, hashlib.sha256()
        self.failed = list[Exception]()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: object) -> int:
        """Write all of the bytes."""
        view = memoryview(data)  # type: ignore[arg-type]
        self._hash.update(view)
        try:
            self._put(view)
        except Exception as error:
            self.failed.append(error)
            raise
        return view.nbytes

    @property
    def sha256(self) -> str:
        """Hash of what was written so far, in hexadecimal."""
        return self._hash.hexdigest()
