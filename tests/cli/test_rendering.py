"""What people and programs see of a run."""

import io
import json
import re
from collections.abc import Callable
from datetime import date

import pytest
from rich.console import Console

from ingest import events
from ingest.cli.rendering import words
from ingest.cli.rendering.answers import Answers
from ingest.cli.rendering.jsonlines import JsonLines
from ingest.cli.rendering.lines import Lines, Quiet
from ingest.cli.rendering.terminal import Terminal
from ingest.market.catalogue import STOCKS_DAY
from ingest.market.permission import REFUSED
from ingest.planning.plan import Decision, Plan
from ingest.sources.base import RemoteObject

DAYS = [date(2025, 11, day) for day in (10, 11, 12)]
STARTED = events.RunStarted(1, "us_stocks_sip/day_aggs_v1", DAYS[0], DAYS[-1], 2)
PLANNED = events.Planned(3, 600_000, {"fetch: new": 3, "skip: holiday": 1})
COMMITTED = events.Committed(DAYS[0], 200_000, 9_700, 2, 9_698, 0, "new")
ALL_KINDS: list[events.Event] = [
    STARTED,
    events.Notice("no list"),
    PLANNED,
    events.FetchStarted(DAYS[0], 200_000),
    events.Downloading(DAYS[0], 50_000, 200_000),
    events.Retrying(DAYS[0], 1, 0.5, "reset"),
    events.ConcurrencyChanged(4, "SlowDown"),
    events.Fetched(DAYS[0], 200_000, 0.1),
    COMMITTED,
    events.Forbidden(DAYS[1]),
    events.Vanished(DAYS[2]),
    events.Failed(DAYS[2], "it would not come"),
    events.Quarantined(DAYS[2], "the header is missing open", "q/2025-11-12.csv.gz"),
    events.Projected(2, 2, 0.1),
    events.Stopping(1, 5.0),
    events.Draining((events.PendingDownload(DAYS[1], 1_200_000, 8_400_000, 4.2),)),
    events.Awaiting(STOCKS_DAY.name, DAYS[2], "2025-11-13T06:00:00+00:00", None, "2025-11-13T12:00:00+00:00"),
]


def finished(**changes: object) -> events.Finished:
    values = dict.fromkeys(events.Finished.__dataclass_fields__, 0) | {
        "dataset": STOCKS_DAY.name,
        "start": DAYS[0],
        "end": DAYS[-1],
        "interrupted": False,
        "seconds": 2.0,
        "fetched": 1,
        "bytes": 200_000,
    }
    return events.Finished(**(values | changes))  # type: ignore[arg-type]


def plan() -> Plan:
    item = RemoteObject("k", 200_000, "e", "2025-11-11T00:00:00Z")
    fetched = [Decision(day, "fetch", "new", "listed", item) for day in DAYS[:2]]
    return Plan((*fetched, Decision(DAYS[2], "skip", "unpublished", "unpublished")))


def on_a_terminal() -> tuple[Terminal, io.StringIO]:
    out = io.StringIO()
    return Terminal(Answers(file=out, width=80, force_terminal=True, color_system=None)), out


def test_json_has_a_line_for_each_event_and_the_summary_last() -> None:
    out = io.StringIO()
    rendering = JsonLines(out)
    for event in [*ALL_KINDS, finished()]:
        rendering.event(event)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["kind"] for line in lines] == [events.name_of(event) for event in [*ALL_KINDS, finished()]]
    assert lines[8]["session"] == "2025-11-10"
    assert lines[-1]["kind"] == "finished"


def test_a_log_says_what_failed_and_why_and_ends_with_the_summary() -> None:
    out = io.StringIO()
    rendering = Lines(out)
    for event in [*ALL_KINDS, finished(exit_code=3, failed=1)]:
        rendering.event(event)
    text = out.getvalue()
    assert "to download: 3 sessions, 600.0 kB (3 new)" in text
    assert "2025-11-12 failed: it would not come" in text
    assert "the header is missing open; its bytes are in q/2025-11-12.csv.gz" in text
    assert text.rstrip().endswith("see above.")


def test_a_stopping_run_says_what_it_waits_for_and_how_long() -> None:
    pending = tuple(events.PendingDownload(day, 1_200_000, 8_400_000, 4.2) for day in (*DAYS, DAYS[0]))
    rendering, out = in_a_log()
    for event in (STARTED, events.Stopping(4, 5.0), events.Draining(pending), events.Draining(pending[:1])):
        rendering.event(event)
    _, first, *waiting = (line.split(" ", 1)[1] for line in out.getvalue().splitlines())
    again = "; interrupt again to stop at once"
    assert first == f"stopping after what is in flight; a download that is silent for 5 s is given up{again}"
    named = [f"stocks-day {day} (1.2 MB of 8.4 MB, silent for 4 s)" for day in DAYS]
    assert waiting == [
        f"waiting for 4 downloads: {', '.join(named)} and 1 more{again}",
        f"waiting for 1 download: {named[0]}{again}",
    ]
    terminal, _ = on_a_terminal()
    for event in (STARTED, events.Planned(3, 600_000, {"fetch: new": 3}), events.Draining(pending[:1])):
        terminal.event(event)
    assert terminal._line() == f"waiting for 1 download: {named[0]}; Ctrl-C again stops at once"


REASONS = events.Notice(f"your subscription allows none of the 2 files: {REFUSED}")


def in_a_log() -> tuple[Lines, io.StringIO]:
    out = io.StringIO()
    return Lines(out), out


@pytest.mark.parametrize("rendered", [in_a_log, on_a_terminal])
def test_why_files_are_refused_is_said_once_a_run(rendered: Callable[[], tuple[Lines | Terminal, io.StringIO]]) -> None:
    for told in ([], [REASONS]):
        rendering, out = rendered()
        for event in [STARTED, *told, finished(forbidden=2), STARTED, finished(forbidden=2)]:
            rendering.event(event)
        said = " ".join(out.getvalue().split())
        assert said.count("signed exchange agreement") == 2, "of two runs, each once"
        assert said.count("2 sessions") == 2


def test_a_log_has_a_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr("ingest.cli.rendering.lines.time.monotonic", lambda: next(clock))
    out = io.StringIO()
    rendering = Lines(out)
    rendering.event(events.Planned(30, 6_000_000, {"fetch: new": 30}))
    for _ in range(30):
        rendering.event(COMMITTED)
    progress = [line for line in out.getvalue().splitlines() if " of 30 sessions" in line]
    assert 5 <= len(progress) <= 15


def test_quiet_says_nothing_while_all_is_well_and_names_what_is_not() -> None:
    out = io.StringIO()
    rendering = Quiet(out)
    for event in (STARTED, PLANNED, COMMITTED, events.ConcurrencyChanged(4, "x"), finished()):
        rendering.event(event)
    assert out.getvalue() == ""
    rendering.event(events.Failed(DAYS[0], "reset"))
    assert out.getvalue() == "2025-11-10 failed: reset\n"


def test_the_bars_count_each_session_once_and_show_what_is_in_flight() -> None:
    terminal, out = on_a_terminal()
    console = Console(file=io.StringIO(), width=100, color_system=None)
    for event in ALL_KINDS[2:9]:
        terminal.event(event)
    terminal.event(events.FetchStarted(DAYS[1], 200_000))
    with console.capture() as capture:
        console.print(terminal.frame())
    shown = capture.get()
    assert "1/3" in shown
    assert "1 in flight, 1 committed, 1 retries" in shown
    assert "downloads at once: 4 (SlowDown)" in out.getvalue()


def shown_by(terminal: Terminal) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    with console.capture() as capture:
        console.print(terminal.frame())
    return capture.get()


def test_the_bars_move_with_a_large_file_and_leave_out_what_an_earlier_run_had_left() -> None:
    terminal, _ = on_a_terminal()
    seen = []
    large = [
        events.FetchStarted(DAYS[0], 200_000_000),
        events.Downloading(DAYS[0], 50_000_000, 200_000_000, 20_000_000),
        events.Downloading(DAYS[0], 150_000_000, 200_000_000, 20_000_000),
        events.Fetched(DAYS[0], 200_000_000, 9.0, 20_000_000),
        COMMITTED,
    ]
    for event in [events.Planned(1, 200_000_000, {}), *large]:
        terminal.event(event)
        seen.append(shown_by(terminal))
    for text, percent, size in zip(seen[2:], ("25%", "75%", "99%", "100%"), (30, 130, 180, 180), strict=True):
        assert percent in text
        assert f"{size}.0 MB" in text
    assert "0/1" in seen[4]
    assert "1/1" in seen[-1]


def test_a_log_tells_how_far_a_large_file_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr("ingest.cli.rendering.lines.time.monotonic", lambda: next(clock))
    out = io.StringIO()
    rendering = Lines(out)
    rendering.event(events.Planned(1, 200_000_000, {"fetch: new": 1}))
    for count in range(0, 200, 10):
        rendering.event(events.Downloading(DAYS[0], count * 1_000_000, 200_000_000))
    assert "0 of 1 session, 50.0 MB of 200.0 MB" in out.getvalue()
    assert out.getvalue().count("0 of 1 session") < 20
    rendering.event(events.Fetched(DAYS[0], 200_000_000, 1.0))
    rendering.event(COMMITTED)
    rendering.event(COMMITTED)
    assert "200.0 MB of 200.0 MB" in out.getvalue().splitlines()[-1]


def test_the_terminal_takes_every_kind_of_event() -> None:
    terminal, out = on_a_terminal()
    with terminal:
        for event in [*ALL_KINDS, finished(exit_code=130, interrupted=True, not_attempted=7)]:
            terminal.event(event)
    assert "Interrupted: what was in flight is committed." in out.getvalue()
    assert "7 sessions" in out.getvalue()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Complete."),
        ({"fetched": 0}, "Nothing to download"),
        ({"exit_code": 3, "failed": 1}, "some sessions failed"),
        ({"exit_code": 4, "fetched": 2}, "Ended early"),
    ],
)
def test_the_summary_says_how_it_ended(changes: dict[str, object], words: str) -> None:
    terminal, out = on_a_terminal()
    terminal.event(finished(**changes))
    assert words in out.getvalue()


def test_a_plan_shows_reasons_counts_and_spans_everywhere() -> None:
    terminal, out = on_a_terminal()
    terminal.plan(plan(), STOCKS_DAY.name)
    log, program = io.StringIO(), io.StringIO()
    Lines(log).plan(plan(), STOCKS_DAY.name)
    JsonLines(program).plan(plan(), STOCKS_DAY.name)
    for text in (out.getvalue(), log.getvalue()):
        assert "2025-11-10 to 2025-11-11" in text
        assert "400.0 kB" in text
    last = json.loads(program.getvalue().splitlines()[-1])
    assert last.pop("time").endswith("Z")
    assert last == {
        "version": 1,
        "kind": "plan",
        "dataset": STOCKS_DAY.name,
        "fetch": 2,
        "bytes": 400_000,
        "reasons": {"fetch: new": 2, "skip: unpublished": 1},
    }


def test_a_run_that_came_to_nothing_leaves_the_word_to_its_error() -> None:
    terminal, out = on_a_terminal()
    terminal.event(finished(exit_code=4, fetched=0))
    log = io.StringIO()
    Lines(log).event(finished(exit_code=4, fetched=0))
    assert out.getvalue().strip("\x1b[?25hl \n") == log.getvalue() == ""


def test_a_summary_stays_when_the_next_dataset_begins() -> None:
    out = io.StringIO()
    console = Answers(file=out, width=80, force_terminal=True, color_system=None)
    with Terminal(console) as terminal:
        for name in ("one", "two"):
            terminal.event(events.RunStarted(1, name, DAYS[0], DAYS[-1], 2))
            terminal.event(PLANNED)
            terminal.event(events.FetchStarted(DAYS[0], 200_000))
            terminal.event(COMMITTED)
            terminal.event(finished(dataset=name))
    shown = on_screen(out.getvalue())
    assert [
        line for line in shown if line in ("Complete.", "dataset               one", "dataset               two")
    ] == [
        "dataset               one",
        "Complete.",
        "dataset               two",
        "Complete.",
    ]


def on_screen(text: str) -> list[str]:
    """What a terminal shows in the end, after cursor movements, erased and overwritten lines."""
    lines, row = [""], 0
    for code in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", text):
        if code == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif code == "\x1b[2K":
            lines[row] = ""
        elif code.startswith("\x1b[") and code.endswith("A"):
            row -= int(code[2:-1] or 1)
        elif not code.startswith("\x1b") and code != "\r":
            lines[row] += code
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize(("dataset", "flag"), [("stocks-day", ""), ("crypto-day", " --dataset crypto-day")])
def test_what_to_do_about_a_quarantined_file_names_its_dataset(dataset, flag):
    event = events.Quarantined(DAYS[0], "5 of 9 rows are gone", "q/x.csv.gz", acceptable=True, dataset=dataset)
    assert f"`ingest quarantine accept {DAYS[0]}{flag}`" in words.warning(event)
    assert f"`ingest quarantine show {DAYS[0]}{flag}`" in words.warning(event)
