"""Programs that listen badly: an `on_event` that raises, a closed stderr."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pipeline_kit import market_objects, trading_days

import ingest
from ingest import events
from ingest.demo.servers import loopback

DAYS = trading_days(date(2025, 3, 3), 4)


@pytest.fixture
def config(loopback_keys: Path, tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "config.toml"
    with loopback.serve(market_objects(DAYS)) as server:
        source = f'[source]\nendpoint_url = "{server.endpoint_url}"\n'
        file.write_text(f'{source}[fallback]\nenabled = false\n[tracked]\nlists = []\ntickers = ["AAPL"]\n')
        yield file


@pytest.mark.parametrize("kind", [events.RunStarted, events.FetchStarted, events.Committed, events.Finished])
def test_an_error_of_a_listener_is_raised_unchanged_and_the_next_run_goes_on(config: Path, kind: type) -> None:
    def listen(event: events.Event) -> None:
        if type(event) is kind:
            raise LookupError("the listener's own")

    with pytest.raises(LookupError, match="the listener's own"):
        ingest.run(start=DAYS[0], end=DAYS[-1], config=config, on_event=listen)
    done = ingest.run(start=DAYS[0], end=DAYS[-1], config=config)
    assert (done.exit_code, done.committed) == (0, len(DAYS))
    assert ingest.verify(deep=True, config=config).problems == ()


CLOSED = """
import sys
sys.stderr.close()
import ingest
print(ingest.history("X:NONE", config=sys.argv[1]).height)  # this one warns
"""


def test_a_closed_stderr_costs_a_warning_and_no_rows(config: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CLOSED, str(config)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0\n")
