"""`s5cmd cp` and then polars, the way a competent user would script it.

1. `s5cmd cp --flatten s3://bucket/prefix/* folder/` with its defaults (256 workers) fetches all files into a folder.
2. Day by day: `read_csv` of the packed file with a full schema; one `filter` for the tracked tickers, one for the
   others; the others are written with `write_csv(compression="gzip", compression_level=1)`.
3. At the end the tracked rows of all days are put together, and each ticker's CSV is written once, with the columns
   that ours have (Date,Open,High,Low,Close,Volume; of minutes a file a month, with New York's time and its offset).

polars uses all cores as it sees fit; with `--threads` the days are worked on by as many threads as there are cores,
too. There is no manifest, no check of what came, no fsync, no retry, no index into the archive, no second run: whoever
starts it again starts from nothing.
"""

from pathlib import Path

from benchmarks.measure import Sample
from benchmarks.s5cmd_copy import measured
from benchmarks.schema import SCHEMA
from benchmarks.stage import Bench
from ingest.market.catalogue import STOCKS_DAY


def s5cmd_polars(bench: Bench, cache: Path, *flags: str) -> Sample:
    """Measure it over all stocks day files of the bucket, into an empty folder."""
    return measured("benchmarks.s5cmd_split", bench, cache, STOCKS_DAY, bench.tickers, [*SCHEMA], *flags)
