"""Sends orders to the process that forks the runs to kill (`nursery.py`)."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from pipeline_kit import window


class Nursery:
    """Orders runs from the waiting process."""

    def __init__(self, process, url):
        self._process, self._url = process, url

    def run(self, place, days, tracked, save_others=True, concurrency=1, **death):
        start, end = map(str, window(days))
        order = {
            "root": str(place.root),
            "url": self._url,
            "window": [start, end],
            "tracked": sorted(tracked),
            "save_others": save_others,
            "concurrency": concurrency,
            "dataset": place.dataset.short,
            "lake": place.lake,
        }
        self._process.stdin.write(json.dumps(order | death) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["status"] in (0, -9), answer
        return answer


@contextmanager
def nursery_of(url, environment):
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("nursery.py"))]
    single = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment | single, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Nursery(process, url)
