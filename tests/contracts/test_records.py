"""JSON has one shape: each command with `--json` prints records, one a line, and nothing else."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import typer.main
from pipeline_kit import Place
from runs_kit import DAYS
from used_kit import ASKED, used

from ingest import events
from ingest.cli.app import app
from ingest.cli.rendering.records import as_record, fields_of, is_asked
from ingest.finding import IDENTICAL, Finding
from ingest.market.catalogue import CATALOGUE

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")


def _with_json(command: Any, *path: str) -> Iterator[str]:
    if any("--json" in one.opts for one in command.params):
        yield " ".join(path)
    for name, one in getattr(command, "commands", {}).items():
        yield from _with_json(one, *path, name)


LAST = ("lake drop", "quarantine accept")
"""They remove what others show."""

COMMANDS = sorted(_with_json(typer.main.get_command(app)), key=lambda name: (name in LAST, name))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with used(tmp_path_factory.mktemp("used")) as made:
        yield made


def records(text: str) -> list[dict[str, Any]]:
    """The records of an output; fails if a line is none."""
    found = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert text == "".join(f"{line}\n" for line in text.splitlines())
    assert text.isascii()
    for one in found:
        assert (list(one)[:3], one["version"]) == (["version", "kind", "time"], 1)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one["time"])
        assert abs((datetime.now(UTC) - datetime.fromisoformat(one["time"])).total_seconds()) < 600
        assert _names(list(one.values())).isdisjoint({"kind", "version"})
        assert one.get("dataset") in {None, "", *(dataset.name for dataset in CATALOGUE.values())}
    return found


def _names(value: Any) -> set[str]:
    """The names of all fields inside a value."""
    if isinstance(value, dict):
        return set(value).union(*map(_names, value.values()))
    return set().union(*map(_names, value)) if isinstance(value, list) else set()


def documented(kind: str) -> set[str]:
    """The fields that the page names for a kind."""
    (entry,) = re.findall(rf"^- \*\*`{kind}`\*\*(.*?)(?=^- \*\*|^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`(\w+)`", entry))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_with_json_prints_documented_records(place: Place, command: str) -> None:
    told = place.here(*command.split(), *ASKED.get(command, ()), "--json")
    found = records(told.out)
    assert found
    for one in found:
        assert documented(one["kind"]) >= set(one) - {"version", "kind", "time"}, one["kind"]


@pytest.mark.parametrize("event", [one for one in get_args(events.Event) if one is not events.Notice])
def test_each_event_is_documented(event: type) -> None:
    assert documented(events.name_of(object.__new__(event))) >= {one.name for one in fields(event)}


@pytest.mark.parametrize(
    ("arguments", "error", "code"),
    [
        (("run", "--json", "--start", "nonsense"), "UsageError", 2),
        (("stat", "--json"), "UsageError", 2),
        (("quarantine", "show", "--json", "2001-01-02"), "UsageError", 2),
        (("show", "--json", "NOSUCH", "--no-fetch"), "NotFound", 4),
    ],
)
def test_an_error_is_a_record_and_a_text(place: Place, arguments: tuple[str, ...], error: str, code: int) -> None:
    done = place.cli(*arguments)
    last = records(done.stdout)[-1]
    assert (done.returncode, last["kind"], last["error"], last["exit_code"]) == (code, "error", error, code)
    assert last["message"].split()[0] in done.stderr
    if arguments[0] in ("run", "show"):  # one that the parser raises, and one that the command does
        silent = place.cli(*[one for one in arguments if one != "--json"])
        assert (silent.returncode, silent.stdout, silent.stderr) == (code, "", done.stderr)


def test_a_short_name_of_a_dataset_is_told_in_full() -> None:
    (found,) = records(as_record("lake", {"dataset": "stocks-day"}))
    assert found["dataset"] == "us_stocks_sip/day_aggs_v1"


def test_only_a_flag_asks_for_json() -> None:
    assert is_asked(["ingest", "show", "--json", "--", "AAPL"])
    assert not is_asked(["ingest", "show", "--", "--json"])


@dataclass(frozen=True, slots=True)
class _Held:
    kind: str
    at: datetime


def test_numbers_stay_numbers_and_no_name_is_taken_twice() -> None:
    values = {"a": np.int64(3), "b": np.float32(0.5), "c": math.nan, "d": [math.inf, np.float64("nan")], "e": DAYS[0]}
    (found,) = records(as_record("some", values))
    assert [found[name] for name in "abcde"] == [3, 0.5, None, [None, None], str(DAYS[0])]
    assert fields_of(Finding(IDENTICAL, 1)) == {"finding": IDENTICAL, "count": 1, "examples": []}
    with pytest.raises(ValueError, match="kind is a field of every record"):
        as_record("held", fields_of(_Held("x", datetime.now(UTC))))
    assert json.loads(as_record("day", {"day": date(2025, 1, 2)}))["day"] == "2025-01-02"
