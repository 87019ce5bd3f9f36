"""`ingest show`: rows, sources, measures and a chart, for people and for programs."""

import json
import math
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from pipeline_kit import key, sampled
from reading_kit import security, world
from typer.testing import CliRunner
from yahoo_kit import fresh_yfinance, past_sessions

import ingest
from ingest.cli.app import app
from ingest.cli.commands.reading.chart import chart, short
from ingest.cli.commands.reading.show import Display, ShowQuery, show_command
from ingest.demo.files.market import pack
from ingest.errors import AcrossSeam, ActionsUnknown, IngestWarning, NotFound, UsageError
from ingest.reading import measures

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(130)
AAPL = security(DAYS, {DAYS[110]: (4, 1)}, {DAYS[60]: 0.25, DAYS[120]: 0.26})
NAMES = ["date", "open", "high", "low", "close", "volume", "source"]


@pytest.fixture
def here(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    with world(monkeypatch, tmp_path, {"AAPL": AAPL, "MSFT": security(DAYS)}, {"AAPL": AAPL}, DAYS) as found:
        yield found


@pytest.fixture
def show(here, capsys):
    def run(*, rows=None, plot=None, csv=False, json=False, settings=None, **wish):
        whole = {"ticker": "AAPL", "period": "6mo", "start": DAYS[100], "end": None, "data_source": "massive"}
        whole |= {"adjust": "all", "fetch": True, "across_seams": False} | wish
        code = show_command(
            ShowQuery(**whole), Display(rows, plot, csv, json), here.config(["AAPL"], **(settings or {}))
        )
        assert code == 0
        return capsys.readouterr()

    return run


def found(show, **arguments):
    out, err = show(json=True, **arguments)
    assert err == ""
    return json.loads(out)


def records(out):
    """The records by their kind; of each kind the last one."""
    return {one["kind"]: one for one in map(json.loads, out.splitlines())}


def closes(found):
    return [row["close"] for row in found["rows"]]


def traded(days):
    return [AAPL.bars[day][3] for day in days]


# For people


def test_a_screen_of_eighty_columns(show):
    out, err = show()
    lines = out.splitlines()
    assert err == ""
    assert max(map(len, lines)) <= 80
    assert lines[0] == f"AAPL: 30 sessions, {DAYS[100]} to {DAYS[-1]}"
    assert lines[1] == "prices in dollars, adjusted for splits and dividends"
    assert lines[2] == f"from massive: {DAYS[100]} to {DAYS[-1]}"
    assert sum(line.strip().startswith(tuple(map(str, DAYS))) for line in lines) == 10
    for word in ("return", "Parkinson", "Garman-Klass", "on-balance", "largest falls", "× the mean of the 20 before"):
        assert word in out
    assert "│" not in out  # no terminal, no chart


@pytest.mark.parametrize(("rows", "shown"), [(0, 30), (3, 3), (99, 30)])
def test_so_many_rows(show, rows, shown):
    lines = show(rows=rows).out.splitlines()
    assert sum(line.strip().startswith(tuple(map(str, DAYS))) for line in lines) == shown


@pytest.mark.parametrize(("rows", "shown"), [(0, 30), (3, 3), (99, 30)])
def test_so_many_rows_in_every_form(show, rows, shown):
    last = [str(day) for day in DAYS[-shown:]]
    assert [line.split(",")[0] for line in show(csv=True, rows=rows).out.splitlines()[1:]] == last
    some, whole = found(show, rows=rows), found(show)
    assert [one["date"] for one in some["rows"]] == last
    assert some["measures"] == whole["measures"]


def test_a_chart_where_it_is_asked_for_fits(show):
    lines = show(plot=True, start=DAYS[0]).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("│" in line or "┤" in line for line in lines) == 15
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(("plot", "drawn"), [(None, True), (False, False)])
def test_a_terminal_gets_a_chart_unless_told_otherwise(show, monkeypatch, plot, drawn):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the output for a terminal
    assert ("┤" in show(plot=plot).out) is drawn


def test_an_output_without_such_characters_gets_a_warning(show, monkeypatch):
    monkeypatch.setattr("rich.console.Console.encoding", "cp1252")
    out, err = show(plot=True)
    assert err == "warning: no chart: cp1252 does not have its characters\n"
    assert "Parkinson" in out


def test_many_spans_are_counted(show, here):
    for day in DAYS[101:121:2]:
        here.server.forbidden.add(key(day))
    assert "6 more spans" in " ".join(show().out.split())


def test_prices_below_a_dollar_have_four_digits(show, here):
    here.yahoo.securities["LOW"] = security(DAYS, first=40.0, step=0.001)
    bars = here.yahoo.securities["LOW"].bars
    bars |= {day: tuple(price / 100 for price in bar[:4]) + bar[4:] for day, bar in bars.items()}
    out = show(ticker="LOW", data_source="yfinance", adjust="none").out
    assert f"{bars[DAYS[-1]][3]:.4f}" in out


# For programs


def test_csv_is_all_rows_and_nothing_else(show):
    out, err = show(csv=True, plot=True)
    rows = pl.read_csv(out.encode(), try_parse_dates=True)
    assert (rows.columns, rows["date"].to_list(), err) == (NAMES, DAYS[100:], "")
    assert rows["volume"].dtype == pl.Int64


def test_json_has_rows_sources_and_measures(show):
    done = found(show, plot=True)
    assert list(done)[3:] == ["ticker", "adjust", "interval", "rows", "sources", "measures"]
    assert list(done["rows"][0]) == NAMES
    assert done["sources"] == {"massive": [[str(DAYS[100]), str(DAYS[-1])]]}
    adjusted = AAPL.adjusted_closes()
    assert closes(done) == pytest.approx([adjusted[day] for day in DAYS[100:]], rel=1e-6)
    volatility = measures.close_to_close(np.array(closes(done)))
    assert done["measures"]["volatility_close"] == pytest.approx(volatility)
    assert done["measures"]["largest_up"][0].keys() == {"date", "change"}


@pytest.mark.parametrize("source", ["massive", "yfinance"])
def test_prices_are_adjusted_as_asked_and_dollars_are_those_that_changed_hands(show, source):
    done = {adjust: found(show, adjust=adjust, data_source=source) for adjust in ("none", "splits", "all")}
    days, adjusted = DAYS[100:], AAPL.adjusted_closes()
    assert closes(done["none"]) == traded(days)
    assert closes(done["splits"]) == pytest.approx([AAPL.bars[day][3] / AAPL.later_splits(day) for day in days])
    assert closes(done["all"]) == pytest.approx([adjusted[day] for day in days], rel=1e-6)
    dollars = np.mean([AAPL.bars[day][3] * AAPL.bars[day][4] for day in days])
    assert [one["measures"]["average_dollar_volume"] for one in done.values()] == pytest.approx([dollars] * 3)
    names = {"massive": "massive", "yfinance": "yahoo"}
    assert all(list(one["sources"]) == [names[source]] for one in done.values())


def test_a_window_without_a_session_is_said_to_be_empty_or_still_to_come(show):
    with pytest.raises(UsageError, match=rf"wrong way round: start {DAYS[120]} is after end {DAYS[100]}"):
        show(start=DAYS[120], end=DAYS[100])
    with pytest.raises(UsageError, match=r"^no session from 2100-01-04 on is complete yet; the newest complete one is"):
        show(start=date(2100, 1, 4))


@pytest.mark.parametrize("source", ["massive", "yfinance"])
def test_the_window_holds_both_ends(show, source):
    done = found(show, start=DAYS[105], end=DAYS[115], data_source=source)
    assert [row["date"] for row in done["rows"]] == [str(day) for day in DAYS[105:116]]


@pytest.mark.parametrize("adjust", ["none", "all"])
def test_what_massive_does_not_have_is_yahoos(show, here, adjust):
    here.server.forbidden.update(key(day) for day in DAYS[-3:])
    done = found(show, adjust=adjust)
    assert done["sources"] == {
        "massive": [[str(DAYS[100]), str(DAYS[-4])]],
        "yahoo": [[str(DAYS[-3]), str(DAYS[-1])]],
    }
    assert [row["source"] for row in done["rows"][-4:]] == ["massive"] + ["yahoo"] * 3


# Warnings and errors


def test_a_warning_is_a_line_on_stderr(show, here):
    here.place.endpoint_url = "http://127.0.0.1:9"
    out, err = show(json=True)
    assert err.startswith("warning: downloading from Massive failed: ")
    assert err.count("\n") == 1
    told = records(out)
    assert list(told) == ["warning", "prices"]
    assert err == f"warning: {told['warning']['message']}\n"
    assert list(told["prices"]["sources"]) == ["yahoo"]


def test_what_is_missing_is_among_the_sources_as_in_the_frame(show, here):
    for day in (DAYS[110], DAYS[-2], DAYS[-1]):
        del here.server.objects[key(day)]
    here.place.run(DAYS[100], DAYS[-1], tracked={"AAPL"})
    out, _ = show(json=True, fetch=False, adjust="none")
    window = {"start": DAYS[100], "data_source": "massive", "fetch": False, "auto_adjust": False}
    with pytest.warns(IngestWarning) as said:
        frame = ingest.get_smart_data("AAPL", **window, config=here.config(["AAPL"]))
    sources = json.loads(json.dumps(frame.attrs["sources"]))
    assert [str(one.message) for one in said if "missing" in str(one.message)]
    assert records(out)["prices"]["sources"] == sources
    assert sources["missing"] == [[str(DAYS[110])] * 2, [str(DAYS[-2]), str(DAYS[-1])]]
    out, _ = show(fetch=False, adjust="none")
    assert f"from massive: {DAYS[100]} to {DAYS[109]}, {DAYS[111]} to {DAYS[-3]}\n" in out
    assert f"missing: {DAYS[110]}, {DAYS[-2]} to {DAYS[-1]}\n" in out


@pytest.mark.parametrize("odd", sampled(["1e19", "9223372036854775808", "1e400", "-1e400", "NaN", "1.7e308", ""]))
def test_a_volume_that_cannot_be_is_no_other_number(show, here, odd):
    day = DAYS[110]
    header = "ticker,volume,open,close,high,low,window_start,transactions"
    here.server.put(key(day), pack(f"{header}\nAAPL,{odd},10,10.5,1e400,9,1,7\n".encode()))
    here.place.run(DAYS[100], DAYS[-1], tracked={"AAPL"})
    how = {"fetch": False, "adjust": "none", "start": DAYS[109], "end": DAYS[111]}
    before, row, after = json.loads(show(json=True, **how).out)["rows"]
    assert (row["high"], row["close"]) == (None, 10.5)
    finite = odd and math.isfinite(float(odd))
    assert row["volume"] == (float(odd) if finite else None)
    assert [one["volume"] for one in (before, after)] == [AAPL.bars[one][4] for one in (DAYS[109], DAYS[111])]
    assert all(str(day) in show(csv=csv, **how).out for csv in (False, True))
    window = {"start": day, "end": DAYS[111], "data_source": "massive", "fetch": False, "auto_adjust": False}
    with pytest.warns(IngestWarning) as said:
        assert ingest.get_smart_data("AAPL", **window, config=here.config(["AAPL"]))["Volume"].to_list() == [0]
    told = [str(one.message) for one in said if "impossible volumes were replaced by 0" in str(one.message)]
    assert bool(told) is (odd not in ("", "NaN"))
    found = ingest.findings(start=day, end=day, config=here.config(["AAPL"]))["kind"].to_list()
    assert "volume missing or too large" in found


def test_a_warning_is_said_before_an_error_too(show, capsys):
    with pytest.raises(NotFound, match="no data for NOSUCH"):
        show(ticker="NOSUCH", start=DAYS[120])
    assert capsys.readouterr().err.startswith("warning: NOSUCH is not looked up at Yahoo")


def test_without_fetch_no_source_is_queried(show, here):
    here.place.run(DAYS[100], DAYS[-1], tracked={"AAPL"})
    before = len(here.server.requests)
    assert closes(found(show, fetch=False, adjust="none")) == traded(DAYS[100:])
    with pytest.raises(ActionsUnknown):
        show(fetch=False)
    assert (len(here.server.requests), here.yahoo.asked) == (before, [])


@pytest.mark.parametrize("off", [False, True], ids=["not fetched", "switched off"])
def test_prices_that_cannot_be_adjusted_are_shown_as_traded_which_is_said(show, here, off, monkeypatch):
    here.place.run(DAYS[100], DAYS[-1], tracked={"AAPL"})
    if off:
        monkeypatch.setenv("INGEST_FALLBACK__ENABLED", "false")
    how = {"fetch": off, "or_as_traded": True}
    out, err = show(json=True, **how)
    prices = records(out)["prices"]
    assert (prices["adjust"], closes(prices)) == ("none", traded(DAYS[100:]))
    assert err.startswith("warning: no splits or dividends are known for AAPL")
    assert "so prices cannot be adjusted: these are as traded" in err
    assert "prices in dollars, as traded" in show(**how).out
    assert "--adjust" not in err


def test_who_asks_for_adjusted_prices_or_csv_gets_no_others(here, show):
    here.place.run(DAYS[100], DAYS[-1], tracked={"AAPL"})
    asked = ["show", "AAPL", "--no-fetch", "--config", str(here.config(["AAPL"]))]
    codes = {
        flags: CliRunner().invoke(app, [*asked, *flags]).exception
        for flags in [(), ("--adjust", "all"), ("--csv",), ("--csv", "--adjust", "none")]
    }
    assert {flags for flags, error in codes.items() if isinstance(error, ActionsUnknown)} == {
        ("--adjust", "all"),
        ("--csv",),
    }


def test_a_gap_is_not_crossed_by_default(monkeypatch, tmp_path, capsys):
    reused = security([*DAYS[:20], *DAYS[100:]], {DAYS[110]: (2, 1)})
    with world(monkeypatch, tmp_path, {"MSFT": security(DAYS), "ZZZ": reused}, {"ZZZ": reused}, DAYS) as here:
        look, config = Display(None, None, False, True), here.config()

        def rows(adjust, across_seams):
            wish = ShowQuery("ZZZ", "6mo", DAYS[0], None, "massive", adjust, True, across_seams)
            show_command(wish, look, config)
            return len(json.loads(capsys.readouterr().out)["rows"])

        with pytest.raises(AcrossSeam, match="across_seams=True"):
            rows("all", across_seams=False)
        assert (rows("all", across_seams=True), rows("none", across_seams=False)) == (50, 50)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"csv": True, "json": True}, "--csv, --json and --html"),
        ({"period": "6m", "start": None}, "'6m'"),
        ({"data_source": "yfinance", "fetch": False}, "--no-fetch"),
        ({"start": DAYS[9], "end": DAYS[8]}, rf"start {DAYS[9]} is after end {DAYS[8]}\. Swap them"),
    ],
)
def test_what_makes_no_sense_is_named(show, arguments, words):
    with pytest.raises(UsageError, match=words):
        show(**arguments)


@pytest.mark.parametrize(("back", "words"), [(0, "is no session"), (1, "no day from .* is a session")])
@pytest.mark.parametrize("fetch", [True, False])
def test_days_of_a_closed_market_are_called_no_sessions(show, fetch, back, words):
    sunday = DAYS[110] - timedelta(days=DAYS[110].weekday() + 1)
    with pytest.raises(NotFound, match=rf"^no data for AAPL: .*{words} of stocks-day: the market was closed$"):
        show(start=sunday - timedelta(days=back), end=sunday, fetch=fetch)


def test_a_session_without_rows_is_not_called_closed(show):
    with pytest.raises(NotFound, match=r"^no data for AALP from") as told:
        show(ticker="AALP", start=DAYS[110], end=DAYS[110], fetch=False)
    assert "closed" not in str(told.value)


def test_the_command_line(here):
    flags = ["show", "AAPL", "--start", str(DAYS[100]), "--end", str(DAYS[104]), "--adjust", "none", "--csv"]
    done = CliRunner().invoke(app, [*flags, "--config", str(here.config(["AAPL"]))])
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 6)
    assert CliRunner().invoke(app, ["show", "AAPL", "--adjust", "some"]).exit_code == 2


# The chart


def bars(count, close=None, volume=2e6):
    days = pl.date_range(DAYS[0], DAYS[0] + (count - 1) * (DAYS[1] - DAYS[0]), "1d", eager=True).head(count)
    levels = [100 + 10 * np.sin(n / 10) if close is None else close for n in range(len(days))]
    return pl.DataFrame({"date": days, "close": levels, "volume": [volume] * len(days)})


@pytest.mark.parametrize("count", [1, 2, 3, 60, 126, 504, 6000])
@pytest.mark.parametrize("width", [40, 80])
def test_a_chart_is_as_wide_as_asked(count, width):
    lines = chart(bars(count), width, "AAPL, close", colour=False).splitlines()
    assert (max(map(len, lines)), len(lines)) == (width, 22)
    assert str(bars(count)["date"][0]) in lines[-1]


@pytest.mark.parametrize(("close", "volume"), [(5.0, 0.0), (740_000.0, 1e11), (0.0001, None), (5.0, float("nan"))])
def test_a_chart_of_what_stands_still(close, volume):
    text = chart(bars(9, close).with_columns(volume=pl.lit(volume, pl.Float64)), 80, "X", colour=False)
    assert max(map(len, text.splitlines())) == 80


def test_no_closes_no_chart():
    assert chart(bars(3).with_columns(close=pl.lit(None, pl.Float64)), 80, "X", colour=False) == ""


def test_colour_where_it_is_wanted():
    assert "\x1b[" in chart(bars(9), 80, "X", colour=True)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (0.08794, "0.0879"),
        (-7.62, "-7.62"),
        (93, "93"),
        (999.5, "1000"),
        (999, "999"),
        (1200, "1.2k"),
        (-34.56e6, "-34.6m"),
        (1.94e9, "1.9bn"),
    ],
)
def test_short_numbers(amount, text):
    assert short(amount) == text
