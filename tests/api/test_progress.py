"""Progress on a terminal and in a notebook, the logger, and values as tables."""

import logging
import subprocess
import sys
import types
from dataclasses import replace
from datetime import date

import pytest
from pipeline_kit import Place, key, trading_days

import ingest
from ingest import events
from ingest.api import progress
from ingest.api.logs import level_of, line_of, logger
from ingest.errors import SourceRefused

DAYS = trading_days(date(2025, 3, 3), 4)
SPAN = (DAYS[0], DAYS[-1])
SCRIPT = """
import sys, ingest
done = ingest.run(start=sys.argv[2], end=sys.argv[3], config=sys.argv[1], **eval(sys.argv[4]))
print("fetched", done.fetched)
"""


@pytest.fixture
def place(server, tmp_path):
    return Place(tmp_path / "cache", server.endpoint_url)


@pytest.fixture
def quiet_logger():
    """No handler of another test, and none of this one later on."""
    known, level = logger().handlers[:], logger().level
    yield logger()
    logger().handlers[:], logger().level, logger().propagate = known, level, True


def program(place, **arguments):
    return [sys.executable, "-W", "error", "-c", SCRIPT, place.config(), *map(str, SPAN), repr(arguments)]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
class TestOnATerminal:
    def shown(self, place, **arguments):
        from terminal_kit import at_terminal

        code, text = at_terminal(program(place, **arguments), env=place.environment(), cwd=place.root.parent)
        assert (code, "fetched " in text) == (0, True), text
        return text

    def test_a_bar_counts_sessions_and_warnings_stay(self, place, server):
        server.objects[key(DAYS[1])] = b"no gzip"
        text = self.shown(place)
        assert "4/4" in text
        assert text.count("quarantined session=2025-03-04") == 1

    def test_there_is_none_if_it_is_off(self, place):
        assert self.shown(place, progress=False).strip() == "fetched 4"


def test_nothing_is_printed_where_stderr_is_a_pipe(place):
    command = program(place, progress=True)
    kinds = "[type(one).__name__ for one in logging.getLogger('ingest').handlers]"
    command[command.index(SCRIPT)] = f"{SCRIPT}import logging\nassert {kinds} == ['NullHandler']\n"
    environment = place.environment(FORCE_COLOR="1")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fetched 4\n", "")


class Shell:
    kernel = object()


@pytest.fixture
def notebook(monkeypatch):
    """IPython as a notebook's kernel has it; what cells show, one entry for each display, updated in place."""
    cells = []

    class Handle:
        def __init__(self, at):
            self.at = at

        def update(self, html):
            cells[self.at].append(html)

    def display(html, display_id):
        assert display_id
        cells.append([html])
        return Handle(len(cells) - 1)

    ipython, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython, module.HTML, module.display = Shell, str, display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return cells


def test_a_notebook_has_one_output_that_is_updated(place, notebook):
    ingest.run(start=SPAN[0], end=SPAN[1], config=place.config())
    ((*_, last),) = notebook
    assert last == '<div>sessions <progress value="4" max="4"></progress> 4 of 4</div>'
    ingest.run(start=SPAN[0], end=SPAN[1], config=place.config())  # nothing to do, nothing to show
    assert len(notebook) == 1


def test_what_a_notebook_shows_is_text(notebook, quiet_logger):
    quiet_logger.propagate = False  # pytest has a handler at the root
    with progress.reported(events.ignore, None) as tell:
        tell(events.YahooAsked("<script>", 0, 1, 2))
        tell(events.Notice("<b>&", "warning"))
    assert notebook[0][-1].count("&lt;script&gt;") == 1
    assert "<div>&lt;b&gt;&amp;</div>" in notebook[0][-1]


def test_events_received_by_the_program_are_not_shown_unless_it_says_so(notebook):
    for wanted, shows in ((None, 0), (False, 0), (True, 1)):
        seen = []
        with progress.reported(seen.append, wanted) as tell:
            tell(events.YahooAsked("AAPL", 0, 1, 2))
        assert (len(seen), len(notebook)) == (1, shows)


def test_an_error_of_the_programs_own_sink_ends_the_run_as_it_is(place, notebook):
    def fails(event):
        raise KeyError(event)

    with pytest.raises(KeyError):
        ingest.run(start=SPAN[0], end=SPAN[1], config=place.config(), on_event=fails, progress=True)


def test_history_shows_whom_it_asks(notebook, place, monkeypatch):
    """The events of a question to Yahoo reach the cell."""
    place.run(*SPAN, tracked={"AAPL"})
    monkeypatch.setattr(
        "ingest.reading.history.history", lambda *given: given[-1](events.YahooAsked("AAPL", 0, 3, 9)) or "rows"
    )
    assert ingest.history("AAPL", adjust="all", config=place.config()) == "rows"
    assert "Yahoo: AAPL" in notebook[0][-1]


class TestTheLogger:
    def test_events_are_records(self, place, server, caplog, quiet_logger):
        server.objects[key(DAYS[1])] = b"no gzip"
        caplog.set_level(logging.INFO, "ingest")
        done = ingest.run(start=SPAN[0], end=SPAN[1], config=place.config(), progress=False)
        ours = [record for record in caplog.records if record.name == "ingest"]
        assert done.quarantined == 1
        kinds = [type(record.event).__name__ for record in ours if not isinstance(record.event, events.Notice)]
        assert (kinds[0], kinds.count("Committed"), kinds[-1]) == ("RunStarted", 3, "Finished")
        (warning,) = [record for record in ours if record.levelno == logging.WARNING]
        assert isinstance(warning.event, events.Quarantined)
        assert warning.getMessage().startswith("quarantined session=2025-03-04 reason=")
        assert {record.levelno for record in ours} == {logging.INFO, logging.WARNING}

    def test_a_warning_is_shown_once_if_it_is_logged(self, notebook, quiet_logger):
        heard = []
        handler = logging.Handler()
        handler.emit = heard.append
        quiet_logger.addHandler(handler)
        with progress.reported(events.ignore, None) as tell:
            tell(events.YahooAsked("AAPL", 0, 1, 2))
            tell(events.Notice("odd", "warning"))
        assert [one.getMessage() for one in heard] == ["odd"]
        assert "odd" not in notebook[0][-1]

    def test_what_happens_within_a_session_is_for_debugging(self):
        assert level_of(events.Downloading(DAYS[0], 1, 2)) == logging.DEBUG
        assert level_of(events.Notice("x")) == logging.INFO
        assert line_of(events.Downloading(DAYS[0], 1, 2)) == "downloading session=2025-03-03 bytes=1 of=2 resumed=0"


class TestTables:
    def test_a_summary_is_a_table(self, place):
        done = ingest.run(start=SPAN[0], end=SPAN[1], config=place.config())
        html = done._repr_html_()
        assert "<tr><th>fetched</th><td>4</td></tr>" in html
        assert f"<tr><th>source rows</th><td>{done.source_rows:,}</td></tr>" in html
        assert "interrupted" not in html

    def test_a_status_is_a_table(self, place):
        place.run(*SPAN)
        status = ingest.status(config=place.config())
        html = status._repr_html_()
        assert f"<tr><th>last</th><td>{DAYS[-1]}</td></tr>" in html
        assert "<tr><th>sessions</th><td>committed" in html

    def test_what_it_quotes_is_text(self, place):
        place.run(*SPAN)
        hostile = '<script>alert("x")</script>\u202e\x1b[2J'
        status = replace(ingest.status(config=place.config()), root=hostile, runs=({"window": hostile},))
        html = status._repr_html_()
        assert [one for one in ("<script", "\u202e", "\x1b", '"x"') if one in html] == []
        assert html.count("&lt;script&gt;alert(&quot;x&quot;)") == 2


def test_a_failed_call_ends_its_display(notebook):
    def call():
        with progress.reported(events.ignore, None) as tell:
            tell(events.YahooAsked("AAPL", 0, 1, 2))
            raise SourceRefused("no")

    with pytest.raises(SourceRefused):
        call()
    assert len(notebook) == 1
