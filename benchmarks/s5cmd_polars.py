"""`s5cmd cp` and then polars, the way a competent user would script it.

1. `s5cmd cp --flatten s3://bucket/prefix/* folder/` with its defaults (256 workers) downloads all files into a folder.
2. Day by day: `read_csv` of the compressed file with a full schema; one `filter` for the tracked tickers, one for the
   others; the others are written with `write_csv(compression="gzip", compression_level=1)`.
3. At the end the tracked rows of all days are concatenated, and each ticker's CSV is written once, with the columns
   of ours (Date,Open,High,Low,Close,Volume; for minutes one file per month, with New York's time and its offset).

polars uses all cores as it sees fit; with `--threads` one thread per core works on the days as well. There is no
manifest, no check of the downloads, no fsync, no retry, no index into the archive, and no second run: started again, it
does everything again.
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
