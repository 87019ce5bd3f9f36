"""Names passed to history, export and show: patterns, roots of options, and unknown tickers."""

import json
import re
import warnings
from datetime import date

import pytest
from pipeline_kit import SAME, Place, flat

import ingest
from ingest import events
from ingest.demo.files.market import pack
from ingest.demo.servers import loopback
from ingest.errors import IngestWarning, NotFound
from ingest.market.catalogue import STOCKS_DAY, named
from ingest.tracked import lists

pytestmark = pytest.mark.usefixtures("loopback_keys")

DAYS = [date(2025, 3, day) for day in (5, 6, 7)]
OPTIONS, CRYPTO = named("options-day"), named("crypto-day")
SPY = ["O:SPY250321C00570000", "O:SPY250321P00570000"]
OTHERS = ["O:SP250321C00570000", "O:SPY1250321C00570000", "O:SPYD250321C00040000", "O:SPYG250321C00090000"]
ROWS = {
    OPTIONS: [*SPY, *OTHERS],
    CRYPTO: ["X:BTC-EUR", "X:BTC-USD", "X:ETH-USD"],
    STOCKS_DAY: ["AAPL", "BRK.B", "GONE", "MSFT", *(f"T{chr(65 + n)}" for n in range(26))],
}


def tickers_on(dataset, day):
    return [ticker for ticker in sorted(ROWS[dataset]) if ticker != "GONE" or day == DAYS[0]]


@pytest.fixture(scope="module")
def server():
    objects = {
        dataset.key(day): pack(flat([(ticker, 10) for ticker in tickers_on(dataset, day)]))
        for dataset in ROWS
        for day in DAYS
    }
    with loopback.serve(objects) as found:
        yield found


@pytest.fixture
def made(server, tmp_path):
    """Makes a cache of a dataset; returns it with the arguments for Python's functions."""

    def make(dataset, tracked=(), **settings):
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=dataset)
        place.run(DAYS[0], DAYS[-1], tracked=tracked, **settings)
        config = tmp_path / "config.toml"
        config.write_text(
            f'[source]\nendpoint_url = "{server.endpoint_url}"\nsame_as = "{SAME}"\n[cache]\nroot = "{place.root}"\n'
            "[fallback]\nenabled = false\n[tracked]\nlists = []\n"
        )
        return place, {"config": config, "dataset": dataset.short}

    return make


def asked(names, how, **more):
    return sorted(set(ingest.history(names, **how, **more)["ticker"]))


@pytest.mark.parametrize("tracked", [set(), {"O:SPY*"}, {"O:SPY" + 15 * "?"}])
def test_a_root_of_options_is_read_from_either_tier(made, tracked):
    _, how = made(OPTIONS, tracked)
    assert asked("O:SPY", how) == SPY
    assert asked(["O:SPY1", "O:SP", SPY[0]], how) == ["O:SP250321C00570000", "O:SPY1250321C00570000", SPY[0]]
    assert asked("O:SPY*", how) == [*OTHERS[1:2], *SPY, *OTHERS[2:]]
    assert ingest.history("O:SPY", DAYS[1], DAYS[1], **how).height == 2


def test_a_root_is_tracked_and_told_as_it_was_written(made):
    place, how = made(OPTIONS)
    told: list[events.Event] = []
    ingest.run(start=DAYS[0], end=DAYS[-1], tickers="O:SPY", on_event=told.append, **how)
    assert sorted(path.name for path in place.tracked.glob("*.csv")) == [f"{one[2:]}_1d_data.csv" for one in SPY]
    assert "O:SPY: 2 tickers that match have a CSV each" in [
        one.message for one in told if isinstance(one, events.Notice)
    ]
    list_file = place.root.parent / "options-day.txt"
    place.here("track", "add", "O:SPY", "--list", list_file, "--dataset", "options-day")
    assert list_file.read_text() == "O:SPY\n"
    (one,) = lists.held(place.settings().model_copy(update={"tracked": _lists(list_file)}), OPTIONS)
    assert (one.ticker, one.matches, one.rows) == ("O:SPY", 2, 6)
    listed = place.here("track", "remove", "O:SPY", "--list", list_file, "--dataset", "options-day")
    assert "1 removed" in listed.out


def _lists(path):
    from ingest.settings.model import Tracked

    return Tracked(lists=(), datasets={"options-day": (path,)})


def test_a_session_stored_without_others_is_missing_a_root_by_its_name(made):
    place, _ = made(OPTIONS, {"O:SP250321C00570000"}, save_others=False)
    from ingest.market.patterns import meant

    ran = place.run(DAYS[0], DAYS[-1], tracked=meant(["O:SPY"]), save_others=False)
    assert ran.reasons == {"fetch: lacks O:SPY": 3}


def test_patterns_are_exported_and_one_that_nothing_matches_is_named(made):
    place, _ = made(OPTIONS)
    done = place.here("export", "O:SPY", "--out", place.root.parent / "files")
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in (place.root.parent / "files").glob("*.csv")) == [
        f"O%3A{one[2:]}_1d.csv" for one in SPY
    ]
    none = place.here("export", "O:SPY", "O:QQQ", "--out", place.root.parent / "files")
    assert (none.code, none.err) == (3, "warning: no data for O:QQQ\n")


def test_unknown_names_give_a_warning_with_suggestions(made):
    _, how = made(STOCKS_DAY, {"AAPL"})
    with pytest.warns(IngestWarning, match=r"^no data for APPL \(did you mean AAPL\?\)$"):
        assert ingest.history("APPL", **how).is_empty()
    words = r"for MFST \(did you mean MSFT\?\), BRK-B \(did you mean BRK.B\?\), NOSUCH from 2025-03-06 on$"
    with pytest.warns(IngestWarning, match=words):
        assert asked(["AAPL", "MFST", "BRK-B", "NOSUCH"], how, start=DAYS[1]) == ["AAPL"]
    with pytest.warns(IngestWarning, match=r"no data for GONE from 2025-03-06 to 2025-03-07$"):
        ingest.history("GONE", DAYS[1], DAYS[2], **how)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asked(["AAPL", "GONE", "TA"], how) == ["AAPL", "GONE", "TA"]


def test_pairs_are_guessed_and_another_market_is_named(made):
    _, how = made(CRYPTO)
    with pytest.warns(IngestWarning, match=r"X:BTCUSD \(did you mean X:BTC-USD\?\)"):
        ingest.history(["X:BTCUSD"], **how)
    with pytest.warns(
        IngestWarning, match='^O:SPY belongs to options-day, not to crypto-day. Pass dataset="options-day"'
    ):
        assert asked(["O:SPY", "X:ETH-USD"], how) == ["X:ETH-USD"]
    assert asked("X:*-USD", how) == ["X:BTC-USD", "X:ETH-USD"]


def test_many_unknown_names_read_the_cache_once(made, monkeypatch):
    from ingest.reading import known

    looks, original = [], known._in_parts
    monkeypatch.setattr(
        known, "_in_parts", lambda stock, days, names: looks.append(days) or original(stock, days, names)
    )
    _, how = made(STOCKS_DAY)
    with pytest.warns(IngestWarning, match="and 495 more"):
        ingest.history([f"NAME{n}" for n in range(500)], **how)
    assert looks == [DAYS[-1:]]


@pytest.mark.parametrize(("name", "meant"), [("APPL", "AAPL"), ("brk.b", "BRK.B")])
def test_show_and_smart_data_suggest_similar_tickers(made, name, meant):
    place, how = made(STOCKS_DAY)
    with pytest.raises(NotFound, match=rf"did you mean {meant}\?$"):
        ingest.get_smart_data(name, data_source="massive", start=DAYS[0], end="2025-03-08", fetch=False, **how)
    shown = place.here("show", name, "--no-fetch", "--start", DAYS[0], "--end", DAYS[-1])
    assert (shown.code, f"did you mean {meant}?" in shown.err) == (4, True)
    exported = place.here("export", "TA", name, "--out", place.root.parent / "files")
    assert (exported.code, exported.err) == (3, f"warning: no data for {name} (did you mean {meant}?)\n")


def test_a_pattern_in_the_place_of_a_ticker_is_named_as_one(made):
    _, how = made(OPTIONS)
    for name in ("O:SPY", "O:SPY*"):
        with pytest.raises(NotFound, match=rf"; {re.escape(name)} is a pattern, .* history and export take patterns"):
            ingest.get_smart_data(name, data_source="massive", start=DAYS[0], end="2025-03-08", fetch=False, **how)


def test_corrections_are_listed_of_all_that_match(tmp_path):
    key, wanted = OPTIONS.key(DAYS[0]), [*SPY, *OTHERS]
    with loopback.serve({key: pack(flat([(ticker, 10) for ticker in sorted(wanted)]))}) as server:
        place = Place(tmp_path / "cache", server.endpoint_url, dataset=OPTIONS)
        place.run(DAYS[0], DAYS[0])
        server.put(key, pack(flat([(ticker, 11) for ticker in sorted(wanted)])))
        place.run(DAYS[0], DAYS[0])
        how = {"config": place.root.parent / "config.toml", "dataset": OPTIONS.short}
        how["config"].write_text(f'[cache]\nroot = "{place.root}"\n')
        for name, expected in (("O:SPY", SPY), ("O:SPY12*", OTHERS[1:2]), (SPY[0], SPY[:1]), ("O:QQQ", [])):
            assert sorted(set(ingest.corrections(name, **how)["ticker"])) == expected, name
        told = place.here("corrections", "--ticker", "O:SPY", "--dataset", "options-day", "--json")
        assert {json.loads(line)["ticker"] for line in told.out.splitlines()} == set(SPY)


@pytest.mark.parametrize("command", ["export TA --out files", "show TA --no-fetch", "corrections", "findings", "run"])
def test_every_command_refuses_a_window_the_wrong_way_round(tmp_path, command):
    place = Place(tmp_path / "cache", "http://127.0.0.1:9")
    done = place.here(*command.split(), "--start", DAYS[1], "--end", DAYS[0])
    assert (done.code, "error: " in done.err, str(DAYS[1]) in done.err) == (2, True, True)
