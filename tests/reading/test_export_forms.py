"""What exported files look like: shapes, names, columns, dividends and splits; and none replaces another adjustment."""

import json
from datetime import timedelta

import polars as pl
import pytest
from pipeline_kit import write_keys
from reading_kit import security, world
from yahoo_kit import Security, fresh_yfinance, past_sessions

import ingest
from ingest.errors import ActionsUnknown, IngestWarning, UsageError
from ingest.market.tickers import file_stem

__all__ = ["fresh_yfinance"]
pytestmark = pytest.mark.usefixtures("fresh_yfinance", "loopback_keys")

DAYS = past_sessions(30)
SPLITS, PAID = {DAYS[12]: (4, 1), DAYS[20]: (1, 2)}, {DAYS[5]: 0.8, DAYS[16]: 0.5}
AAPL = security(DAYS, SPLITS, PAID)
HOLE = Security({day: bar for day, bar in AAPL.bars.items() if day != DAYS[12]}, SPLITS, PAID)
FUND = Security(AAPL.bars, {}, PAID, gains={DAYS[16]: 0.25}, instrument="ETF")
EVERYONE = {"AAPL": AAPL, "HOLE": HOLE, "VTI": FUND, "CON": security(DAYS[:9]), "BCpC": security(DAYS[3:])}
PRICES = ["open", "high", "low", "close", "volume"]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    home = tmp_path_factory.mktemp("forms")
    write_keys(home / "credentials")
    known = {name: one for name, one in EVERYONE.items() if name not in ("CON", "BCpC")}
    with pytest.MonkeyPatch.context() as patch, world(patch, home, EVERYONE, known, DAYS) as found:
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        found.place.run(DAYS[0], DAYS[-1], tracked={"AAPL"})
        yield found


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def export(here, out):
    config = here.config(["VTI", "A*"])
    return lambda tickers, **named: ingest.export(tickers, out, config=config, **named)


def typed(place, *arguments, **environment):
    """The command, of the same place."""
    return place.here("export", *arguments, "--out", "typed", INGEST_FALLBACK__ENABLED="true", **environment)


class TestShapes:
    def test_files_of_parquet_have_the_ticker_and_say_what_they_are(self, export):
        (one,) = export("AAPL", format="parquet", adjust="splits")
        frame = pl.read_parquet(one.path)
        assert frame.columns == ["ticker", "date", *PRICES, "source"]
        assert frame["ticker"].unique().to_list() == ["AAPL"]
        about = {name: value for name, value in pl.read_parquet_metadata(one.path).items() if name.startswith("ingest")}
        assert about == {
            "ingest.adjust": "splits", "ingest.interval": "1d", "ingest.dataset": "us_stocks_sip/day_aggs_v1"
        }  # fmt: skip

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_a_long_file_has_the_rows_of_history(self, here, export, kind):
        (one,) = export(["VTI", "AAPL"], shape="long", format=kind)
        assert (one.ticker, one.path.name, one.rows) == (None, f"prices_1d.{kind}", 60)
        frame = pl.read_parquet(one.path) if kind == "parquet" else pl.read_csv(one.path, try_parse_dates=True)
        assert frame.equals(ingest.history(["VTI", "AAPL"], config=here.config()))

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_a_wide_file_is_a_panel(self, here, export, kind):
        asked = ["VTI", "CON", "A*"]
        done = export(asked, shape="wide", format=kind, columns=["close", "volume"])
        assert [one.path.name for one in done] == [f"close_1d.{kind}", f"volume_1d.{kind}"]
        panel = ingest.panel(asked, ["close", "volume"], config=here.config())
        for name, one in zip(("close", "volume"), done, strict=True):
            frame = pl.read_parquet(one.path) if kind == "parquet" else pl.read_csv(one.path, try_parse_dates=True)
            assert frame.columns == ["date", "VTI", "CON", "AAPL"]
            assert frame["date"].to_list() == [stamp.date() for stamp in panel.index]
            for ticker in frame.columns[1:]:
                assert frame[ticker].to_list() == [None if value != value else value for value in panel[name][ticker]]

    def test_a_wide_file_has_the_closes_unless_others_are_named(self, export):
        (one,) = export(["AAPL", "CON"], shape="wide")
        assert one.path.name == "close_1d.csv"

    def test_all_that_is_followed_is_exported(self, here, export):
        names = [one.ticker for one in export("CON", tracked=True)]
        assert names == ["AAPL", "CON", "VTI"]
        with pytest.raises(UsageError, match=r"no tickers are named. Pass tracked=True"):
            export(())
        with pytest.raises(UsageError, match="no tickers of crypto-day are tracked"):
            export((), tracked=True, dataset="crypto-day")

    def test_a_pattern_may_stand_for_the_whole_market(self, export):
        assert [one.ticker for one in export("*")] == sorted(EVERYONE)

    def test_a_folder_without_a_name_is_an_error(self, here):
        with pytest.raises(UsageError, match="out must name a folder"):
            ingest.export("AAPL", "", config=here.config())


class TestColumns:
    def test_those_named_come_in_their_order(self, export):
        (one,) = export("AAPL", columns=["date", "close", "ticker", "transactions"])
        assert pl.read_csv(one.path).columns == ["date", "close", "ticker", "transactions"]

    def test_the_source_is_left_out(self, export):
        for kind, named in (("csv", []), ("parquet", ["ticker"])):
            (one,) = export("AAPL", source=False, format=kind)
            frame = pl.read_parquet(one.path) if kind == "parquet" else pl.read_csv(one.path)
            assert frame.columns == [*named, "date", *PRICES]

    @pytest.mark.parametrize(
        ("named", "words"),
        [({"columns": ["Close"]}, "'Close' is unknown"), ({"columns": ["time"]}, "'time' is not in these rows"),
         ({"columns": []}, "name at least one"), ({"columns": ["date", "date"]}, "names one twice"),
         ({"columns": ["date"], "shape": "wide"}, "'date' is an axis"),
         ({"shape": "tall"}, "'tall': files, long or wide")],
    )  # fmt: skip
    def test_what_makes_no_sense_is_named(self, export, named, words):
        with pytest.raises(UsageError, match=words):
            export("AAPL", **named)


class TestActions:
    def by_date(self, done):
        frame = pl.read_csv(done[0].path, try_parse_dates=True)
        assert frame.columns[-2:] == ["dividend", "split"]
        both = frame.filter((pl.col("dividend") != 0) | (pl.col("split") != 1))
        return {row[0]: row[1:] for row in both.select("date", "dividend", "split").rows()}

    def test_they_are_per_share_as_traded_beside_prices_as_traded(self, export):
        assert self.by_date(export("AAPL", actions=True)) == {
            DAYS[5]: (0.8, 1), DAYS[12]: (0, 4), DAYS[16]: (0.5, 1), DAYS[20]: (0, 0.5)
        }  # fmt: skip

    @pytest.mark.parametrize("adjust", ["splits", "all"])
    def test_they_are_per_share_of_today_beside_adjusted_prices(self, here, export, adjust):
        found = self.by_date(export("AAPL", actions=True, adjust=adjust))
        how = {"start": DAYS[0], "data_source": "massive", "actions": True, "config": here.config()}
        frame = ingest.get_smart_data("AAPL", **how)
        theirs = frame[["Dividends", "Stock Splits"]]
        assert {day: (paid, split if split != 1 else 0) for day, (paid, split) in found.items()} == {
            stamp.date(): (pytest.approx(row[0]), row[1])
            for stamp, row in zip(theirs.index, theirs.to_numpy(), strict=True)
            if row.any()
        }

    def test_capital_gains_are_cash_too(self, export):
        assert self.by_date(export("VTI", columns=["date", "close", "dividend", "split"])) == {
            DAYS[5]: (0.8, 1), DAYS[16]: (0.75, 1)
        }  # fmt: skip

    def test_what_falls_on_a_day_without_a_row_is_in_the_next(self, export):
        with pytest.warns(IngestWarning, match=f"HOLE: no row on {DAYS[12]}; .* in the row of {DAYS[13]}"):
            assert self.by_date(export("HOLE", actions=True))[DAYS[13]] == (0, 4)

    def test_a_symbol_that_may_have_changed_hands_is_named(self, monkeypatch, tmp_path):
        days = past_sessions(100)
        reused = security([*days[:20], *days[80:]], {}, {days[90]: 0.5})
        with world(monkeypatch, tmp_path, {"ZZZ": reused, "AAPL": security(days)}, {"ZZZ": reused}, days) as here:
            here.place.run(days[0], days[-1], tracked=set())
            named = {"actions": True, "columns": ["date", "dividend"], "config": here.config()}
            with pytest.warns(IngestWarning, match="ZZZ did not trade in 60 sessions .* may belong to another company"):
                ingest.export("ZZZ", tmp_path / "out", **named)
            ingest.export("ZZZ", tmp_path / "out", across_seams=True, **named)

    def test_a_month_adds_and_multiplies_them(self, export):
        (one,) = export("AAPL", actions=True, interval="1mo")
        frame = pl.read_csv(one.path)
        assert (frame["dividend"].sum(), frame["split"].product()) == (pytest.approx(1.3), 2)

    def test_a_ticker_whose_actions_are_unknown_is_an_error_or_left_out(self, export):
        with pytest.raises(ActionsUnknown, match=r"known for BCpC .* Pass errors=.skip. to leave"):
            export(["AAPL", "BCpC"], actions=True)
        with pytest.warns(IngestWarning, match="left out because .* BCpC"):
            assert [one.ticker for one in export(["AAPL", "BCpC"], actions=True, errors="skip")] == ["AAPL"]

    def test_with_prices_as_traded_they_give_the_adjusted_ones(self, here, export):
        """As zipline does it: from raw prices, `dividend` and `split`."""
        (one,) = export("AAPL", actions=True)
        frame = pl.read_csv(one.path, try_parse_dates=True)
        later = frame["split"].reverse().cum_prod().reverse() / frame["split"]
        adjusted = ingest.history("AAPL", adjust="splits", config=here.config())
        assert (frame["close"] / later).to_list() == pytest.approx(adjusted["close"].to_list())


class TestNames:
    def test_they_say_how_prices_are_adjusted(self, export, out):
        for adjust in ("none", "splits", "all"):
            export("AAPL", adjust=adjust)
        assert sorted(path.name for path in out.glob("*.csv")) == [
            "AAPL_1d.csv", "AAPL_1d_adjusted.csv", "AAPL_1d_splits.csv"
        ]  # fmt: skip

    def test_a_market_without_splits_has_no_adjusted_prices(self, here, monkeypatch):
        from ingest.reading.export.files import write_files
        from ingest.reading.export.form import Form
        from ingest.reading.selection import Selection

        rows = ingest.history("AAPL", config=here.config()).with_columns(ticker=pl.lit("X:BTC-USD"))
        (one,) = write_files(rows, Selection(["X:BTC-USD"], adjust="all"), Form(), here.place.root.parent / "coins")
        assert one.path.name == f"{file_stem('X:BTC-USD')}_1d.csv"

    def test_a_template_names_them(self, export, out):
        export(["AAPL", "BCpC"], name="{ticker}")
        export("AAPL", name="{interval} of {ticker}, {adjust}", interval="1wk", adjust="all", format="parquet")
        export("AAPL", shape="long", name="market")
        export("AAPL", shape="wide", name="my {column}")
        names = {path.name for path in out.iterdir()} - {".ingest-export.json"}
        assert names == {"AAPL.csv", "BC_pC.csv", "1wk of AAPL, all.parquet", "market.csv", "my close.csv"}

    def test_no_file_has_the_name_of_a_device(self, export):
        (one,) = export("CON", name="{ticker}")
        assert one.path.name == "CON_.csv"

    @pytest.mark.parametrize(
        "name",
        ["", "all", "{date}", "{ticker}/x", "..", "{ticker", "{ticker.__class__}", "{ticker!r}", "{ticker:>90}", "{0}",
         "{}", "a\n{ticker}", "{ticker}:x", ".{ticker}", "{ticker[0]}"],
    )  # fmt: skip
    def test_what_is_no_template_is_named(self, export, out, name):
        with pytest.raises(UsageError, match=r"^name '"):
            export("AAPL", name=name)
        assert not out.exists()
        for shape, field in (("long", "{ticker}"), ("long", "{column}"), ("wide", "{ticker}"), ("files", "{column}")):
            with pytest.raises(UsageError, match="the fields are "):
                export("AAPL", shape=shape, name=field)
        with pytest.raises(UsageError, match="all files would have one name"):
            export("AAPL", shape="wide", columns=["close", "open"], name="prices")


class TestNothingIsReplacedByAnotherAdjustment:
    def test_such_a_file_is_an_error_that_names_it(self, export, out):
        export(["AAPL", "VTI"], name="{ticker}", format="csv")
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        bars = "1d bars of us_stocks_sip/day_aggs_v1"
        words = rf"AAPL\.csv has {bars}, as traded, and these are {bars}, adjusted for splits\. Nothing was written"
        with pytest.raises(UsageError, match=words):
            export(["VTI", "AAPL"], name="{ticker}", adjust="splits")
        with pytest.raises(UsageError, match=r"these are 1wk bars of .*, as traded.*Pass overwrite=True to replace it"):
            export("AAPL", name="{ticker}", interval="1wk")
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
        export("AAPL", name="{ticker}", adjust="splits", overwrite=True)
        export("AAPL", name="{ticker}", adjust="splits")  # and from now on these
        record = json.loads((out / ".ingest-export.json").read_text())
        assert record["files"] == {
            name: {"dataset": "us_stocks_sip/day_aggs_v1", "interval": "1d", "adjust": adjust}
            for name, adjust in (("AAPL.csv", "splits"), ("VTI.csv", "none"))
        }

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    @pytest.mark.parametrize("record", [None, "{", "[]", '{"files": 3}'])
    def test_an_unknown_file_is_replaced_if_its_closes_are_the_same(self, export, out, kind, record):
        def forget():
            (out / ".ingest-export.json").unlink()
            if record is not None:
                (out / ".ingest-export.json").write_text(record)

        export("AAPL", format=kind, end=DAYS[20])
        forget()
        (one,) = export("AAPL", format=kind)
        assert one.rows == 30
        (old,) = export("AAPL", format=kind, adjust="splits")
        old.path.replace(out / f"AAPL_1d.{kind}")  # as earlier versions named it
        forget()
        with pytest.raises(UsageError, match=rf"AAPL_1d\.{kind} has other prices, or something else"):
            export("AAPL", format=kind)

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_an_unknown_file_of_another_window_is_not_replaced(self, export, out, kind):
        (old,) = export("AAPL", format=kind, end=DAYS[9], adjust="splits")
        before = old.path.replace(out / f"AAPL_1d.{kind}").read_bytes()
        (out / ".ingest-export.json").unlink()
        with pytest.raises(UsageError, match=rf"AAPL_1d\.{kind} has other prices, or something else"):
            export("AAPL", format=kind, start=DAYS[10])
        assert (out / f"AAPL_1d.{kind}").read_bytes() == before

    @pytest.mark.parametrize("text", ["", "mine\n1\n", "date,close\n", "\x00\xff"])
    def test_a_file_of_another_kind_is_an_error(self, export, out, text):
        out.mkdir()
        (out / "AAPL_1d.csv").write_text(text)
        if text == "date,close\n":
            assert export("AAPL")  # it has no price that could be another
            return
        with pytest.raises(UsageError, match="something else"):
            export("AAPL")


class TestTheCommand:
    def test_it_has_a_flag_for_each(self, here):
        folder = here.place.root.parent / "typed"
        lists = {"INGEST_TRACKED__TICKERS": '["VTI"]'}
        flags = ("--tracked", "--name", "{ticker}", "--columns", "date, close,dividend", "--adjust", "splits")
        assert typed(here.place, "AAPL", *flags, **lists).code == 0
        assert sorted(path.name for path in folder.glob("*.csv")) == ["AAPL.csv", "VTI.csv"]
        assert (folder / "VTI.csv").read_text().splitlines()[0] == "date,close,dividend"
        done = typed(here.place, "AAPL", "--name", "{ticker}", "--no-source", "--actions")
        assert done.code == 2
        assert "Use `--name TEMPLATE` to give these another name. Use `--overwrite` to replace it." in done.err
        assert typed(here.place, "AAPL", "--name", "{ticker}", "--no-source", "--actions", "--overwrite").code == 0
        assert (folder / "AAPL.csv").read_text().splitlines()[0] == f"date,{','.join(PRICES)},dividend,split"
        wide = typed(here.place, "AAPL", "VTI", "NOSUCH", "--shape", "wide")
        assert (wide.code, wide.out) == (3, "typed/close_1d.csv: 30 rows\n")
        assert typed(here.place).code == 2

    def test_a_new_day_is_exported_over_the_old_files(self, export):
        export("AAPL", end=DAYS[-2], adjust="all")
        (one,) = export("AAPL", end=DAYS[-1] + timedelta(days=1), adjust="all")
        assert one.rows == 30
