"""What four files of 200 MB take in memory while they are split side by side."""

import subprocess
import sys

import pytest

MOST = 500_000_000
"""Bytes at the peak of the whole process, Python and polars included."""

CHILD = """
import io, sys, threading
from datetime import date
from pathlib import Path
import numpy as np
import polars as pl
from isal import igzip_lib
from ingest.market.catalogue import STOCKS_MINUTE
from ingest.pipeline.task import Job
from ingest.cache.manifest import Held
from ingest.planning.plan import Decision
from ingest.pipeline.worker import prepare
from ingest.sources.base import Body
from ingest.cache.cache import Layout
from ingest.settings import Settings

folder, size = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(1)
packed, ticker = folder / "packed", 0
with packed.open("wb") as file:
    while file.tell() < size:
        names = np.repeat([f"T{ticker + n:07}" for n in range(200)], 500)
        prices = {name: rng.uniform(1, 99, len(names)).round(4) for name in ("open", "close", "high", "low")}
        start = {"window_start": np.tile(np.arange(500), 200) * 60_000_000_000}
        rows = pl.DataFrame({"ticker": names, "volume": rng.integers(1, 10**6, len(names)), **prices, **start})
        text = io.BytesIO()
        rows.write_csv(text, include_header=not ticker)
        file.write(igzip_lib.compress(text.getvalue(), 1, igzip_lib.COMP_GZIP))
        ticker += 200

def split(number):
    layout = Layout.of(Settings.model_validate({"cache": {"root": folder / str(number)}}), STOCKS_MINUTE)
    layout.parts.create()
    decision = Decision(date(2025, 3, 4), "fetch", "new", "listed", None, Held(), frozenset(["T0000007"]), True)
    made = prepare(Job(decision, 0, layout.dataset, layout.parts, 1 << 40), Body(b"", "e", "m", path=packed))
    assert made.record.source_rows == ticker * 500

threads = [threading.Thread(target=split, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
(line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(line.split()[1]) * 1024)
"""


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's own")
def test_four_files_of_200_mb_are_split_together_in_less_than_500_mb(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), "200000000"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < MOST
