"""The lines that the docs give for workers of one's own start some."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.demo.servers import cluster

PAGE = Path(__file__).parents[2] / "docs" / "beyond-one-machine.md"
LINES = re.findall(r"dask worker (\S+) ((?:--[\w-]+(?: \d+)? ?)+)", PAGE.read_text())


@pytest.mark.skipif(not cluster.available(), reason="needs distributed")
@pytest.mark.parametrize("options", [options for _, options in LINES])
def test_a_worker_of_the_docs_takes_its_options(options):
    """Dask refuses options that contradict each other before it looks for the scheduler, and says so."""
    nobody = [
        "127.0.0.1:9",
        *options.split(),
        "--host",
        "127.0.0.1",
        "--death-timeout",
        "1",
        "--dashboard-address",
        ":0",
    ]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", *nobody]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Start worker at" in told.stderr, told.stderr


def test_the_docs_have_such_a_line():
    assert LINES
