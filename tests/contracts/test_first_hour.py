"""docs/first-hour.md: its commands work one after the other, and print what the page shows."""

import re
import shlex
from datetime import date
from pathlib import Path

from pipeline_kit import COMMAND, SAME, market_objects, trading_days, write_keys

from ingest.demo.servers import loopback

PAGE = (Path(__file__).parents[2] / "docs" / "first-hour.md").read_text(encoding="utf-8")
DAYS = trading_days(date(2025, 11, 24), 8)  # with a holiday
WINDOW = [f"--start={DAYS[0]}", f"--end={DAYS[-1]}"]
MORE = {"init": ["--yes", "--no-check"], "run": WINDOW, "show": WINDOW}
"""What a test adds to a command: nobody answers its questions, and its market has these days only."""

SHOWN = [
    (shlex.split(command), output)
    for command, output in re.findall(r"^```console\n\$ ingest (.*)\n((?:(?!```).*\n)*)", PAGE, re.MULTILINE)
]


def labels(output: str) -> set[str]:
    """What stands before the numbers, paths and names of each line."""
    found = (re.match(r" *([a-z-]+(?: [a-z-]+)*?)(?=  |,|:| \d)", line, re.IGNORECASE) for line in output.splitlines())
    return {one[1] for one in found if one}


def test_a_label_is_what_does_not_change():
    assert labels("fetched               500 sessions\n6 tracked tickers\nCSV: 5\n") == {"fetched", "CSV"}


def test_each_command_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    write_keys(tmp_path / "credentials")
    monkeypatch.chdir(tmp_path)
    with loopback.serve(market_objects(DAYS)) as server:
        for name, value in {
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "INGEST_SOURCE__ENDPOINT_URL": server.endpoint_url,
            "INGEST_SOURCE__SAME_AS": SAME,
            "INGEST_FALLBACK__ENABLED": "false",
        }.items():
            monkeypatch.setenv(name, value)
        for command, output in SHOWN:
            assert not COMMAND([*command, *MORE.get(command[0], [])], standalone_mode=False)
            told = capsys.readouterr().out
            shown = {"Written"} if command[0] == "init" else labels(output) - {"From Yahoo"}
            assert {one for one in shown if one not in told} == set(), told
    assert [command[0] for command, _ in SHOWN] == ["init", "run", "run", "show", "track", "status"]
