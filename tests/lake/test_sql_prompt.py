"""The prompt of `ingest sql`, at a pseudo-terminal: queries, errors, Ctrl-C, Ctrl-D, history, completion."""

import shutil
from datetime import date

import pytest
from pipeline_kit import Place, market_objects, trading_days, window
from terminal_kit import at_terminal

from ingest.cli.commands.reading.prompt import is_whole, offered
from ingest.demo.servers import loopback

DAYS = trading_days(date(2025, 3, 3), 2)
NEXT = "sql>"
"""It asks for the next query."""

TABLES = {"stocks_day": ["ticker", "close"], "options_day": ["ticker", "strike"], "sessions": ["date", "bytes"]}


@pytest.fixture(scope="module")
def place(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompt")
    with loopback.serve(market_objects(DAYS)) as server:
        place = Place(folder / "cache", server.endpoint_url)
        place.run(*window(DAYS))
        yield place


@pytest.fixture
def prompt(place, tmp_path):
    """What a prompt shows while this is typed, and its exit code."""

    def typed(*answers, before=()):
        environment = place.environment(PROMPT_TOOLKIT_NO_CPR="1", XDG_STATE_HOME=str(tmp_path / "state"))
        return at_terminal(
            [*before, *place.command("sql")], answers, cwd=place.root.parent, env=environment, seconds=20
        )

    return typed


def test_one_query_after_another_and_an_error_ends_none_but_its_own(prompt):
    code, shown = prompt(
        (NEXT, "select 40 +"),
        ("...>", "2 as answer;"),
        (NEXT, "select foo frm x;"),
        (NEXT, "select 4 * 11 as n\n"),
        (NEXT, "exit"),
    )
    assert (code, "Traceback" in shown) == (0, False), shown
    told = ["actions, corrections, findings, sessions, stocks_day", "\n    42\n", "error: the query", "\n44\n"]
    assert [one for one in told if one not in shown] == [], shown
    assert sorted(told, key=shown.index) == told


def test_a_character_that_is_none_ends_its_query_alone(prompt):
    code, shown = prompt((NEXT, b"select '\xff';\n"), ("not text", "exit"))
    assert (code, "Traceback" in shown) == (0, False), shown


def test_ctrl_c_clears_the_line_and_exit_ends_the_prompt(prompt):
    code, shown = prompt((NEXT, "select foo\x03select 7 * 7 as n;"), ("49", "exit"))
    assert (code, "error" in shown) == (0, False), shown


@pytest.mark.skipif(not shutil.which("setsid"), reason="only a controlling terminal sends signals")
def test_ctrl_c_ends_the_printing_of_an_answer_alone(prompt):
    long = "select repeat('x', 100000) as x from range(1000);"
    code, shown = prompt((NEXT, long), ("xxxx", "\x03"), ("interrupted", "exit"), before=("setsid", "-c", "-w"))
    assert code == 0, shown[-2000:]


@pytest.mark.skipif(not shutil.which("setsid"), reason="only a controlling terminal sends signals")
def test_ctrl_c_ends_a_query_alone(prompt):
    endless = "select sum(a.range * b.range) from range(10000000) a, range(10000000) b, stocks_day;"
    answers = [(NEXT, endless), ("read from the parts", "\x03"), ("interrupted", "exit")]
    code, shown = prompt(*answers, before=("setsid", "-c", "-w"))
    assert code == 0, shown


def test_ctrl_d_ends_the_prompt(prompt):
    code, shown = prompt((NEXT, b"from stocks_d\t"), ("ay", b"\x15\x04"))  # Ctrl-U, since it ends only an empty line
    assert (code, "error" in shown) == (0, False), shown


def test_tab_completes_and_the_history_is_that_of_earlier_prompts(prompt):
    begun, rest = b"select count(*) + 40 as n from stocks_d\t", " where false;"
    code, shown = prompt((NEXT, begun), ("ay", rest), (NEXT, "exit"))
    assert (code, "error" in shown, "\n40\n" in shown) == (0, False, True), shown
    up = ("ay", b"\x15\x1b[A\x1b[A"), ("40 as n", "")  # Ctrl-U and two arrows up, past "exit"
    code, shown = prompt((NEXT, b"from stocks_d\t"), *up, (NEXT, "exit"))
    assert (code, "from stocks_day where false" in shown, "\n40\n" in shown) == (0, True, True), shown


def test_help_names_the_views_again(prompt):
    code, shown = prompt((NEXT, "help"), (NEXT, "exit"))
    assert (code, "error" in shown, shown.count("stocks_day_adjusted")) == (0, False, 2), shown


@pytest.mark.parametrize("word", [r"\q", ".exit", "quit;"])
def test_words_of_other_shells_end_the_prompt(prompt, word):
    assert prompt((NEXT, word))[0] == 0


def test_a_state_folder_that_cannot_be_made_is_no_error(prompt, tmp_path):
    (tmp_path / "state").write_text("")
    code, shown = prompt((NEXT, "select 7 * 7 as n;"), (NEXT, "exit"))
    assert (code, "\n49\n" in shown) == (0, True), shown


def test_at_a_terminal_a_table_has_1000_rows_and_a_line_says_what_is_left(place):
    code, shown = at_terminal(place.command("sql", "from range(2500)"), cwd=place.root.parent, env=place.environment())
    *_, last, told = shown.splitlines()
    assert (code, last.strip()) == (0, "999")
    assert told == "1,500 more rows. Use `--limit 0` or `--csv` to print all of them."


def test_flags_for_programs_need_a_query(place):
    code, shown = at_terminal(place.command("sql", "--csv"), env=place.environment())
    assert (code, "there is no query" in shown) == (2, True)


@pytest.mark.parametrize(
    "text", ["", "  ", "select 1;", "select 1 ; ", "select 1\n", "exit", " Quit ", r"\q", ".exit", "help", "?", r"\d"]
)
def test_enter_ends_a_statement(text):
    assert is_whole(text)


@pytest.mark.parametrize("text", ["select 1", "select 1;\nx", "select exit", "select\n  a"])
def test_enter_goes_on(text):
    assert not is_whole(text)


def test_columns_of_the_views_that_are_named_are_offered_and_else_all():
    assert {"ticker", "strike", "bytes", "stocks_day", "select"} <= set(offered(TABLES, "sel"))
    found = offered(TABLES, "select x from stocks_day where s")
    assert ("close" in found, "strike" in found, "sessions" in found, "where" in found) == (True, False, True, True)
    assert "SELECT" in offered(TABLES, "SEL")
