"""Tickers: names that are safe, reversible and unique, and lists that say what is wrong with them."""

import os
import random
import re
import string
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.market.catalogue import CATALOGUE, STOCKS_DAY
from ingest.market.tickers import MAX_NAME_BYTES, file_stem, ticker_of
from ingest.settings.lists import TrackedLists, read_list, tracked

ANY_TEXT = st.text(min_size=1)
# Characters that fold, join, reserve or escape something, so that two tickers come close to each other.
CLOSE = st.text(
    alphabet="AaPpCcOoNnKk\u017f\u0131\u0130\u00df\u1e9e_%.-/\\: 012345E\0\u212a\u200f😀é", min_size=1, max_size=6
)
DEVICES = st.sampled_from(["CON", "PRN", "AUX", "NUL", "COM1", "LPT9", "COM0", "con", "Con", "CONS", "COM10"])
RESERVED = st.builds(lambda device, rest: device + rest, DEVICES, st.sampled_from([".", "..", ".A", "%2EA", "", ".a"]))
TICKER = ANY_TEXT | CLOSE | RESERVED

NAME_OF = STOCKS_DAY.csv_name


class TestFileStem:
    @pytest.mark.parametrize(
        ("ticker", "stem"),
        [
            ("AAPL", "AAPL"),
            ("BRK.A", "BRK.A"),
            ("BACpL", "BAC_pL"),
            ("TpC", "T_pC"),
            ("TPC", "TPC"),
            ("MTBpC.CL", "MTB_pC.CL"),
            ("X:BTC-USD", "X%3ABTC-USD"),
            ("O:SPY251219C00650000", "O%3ASPY251219C00650000"),
            ("A_p", "A%5F_p"),
            ("A%2E", "A%252E"),
            ("../../etc", "%2E.%2F..%2F_e_t_c"),
            (".", "%2E"),
            ("..", "%2E."),
            ("A\0B", "A%00B"),
            ("😀", "%F0%9F%98%80"),
            ("A\u200fB", "A%E2%80%8FB"),
            ("É", "%C3%89"),
            ("CON", "CON"),
            ("CON.A", "CON%2EA"),
            ("CON.A.B", "CON%2EA.B"),
            ("CON..", "CON%2E."),
            ("LPT9.WS", "LPT9%2EWS"),
            ("COM0.A", "COM0%2EA"),
            ("con.a", "_c_o_n._a"),
            ("CONS.A", "CONS.A"),
            ("COM10.A", "COM10.A"),
            ("A.CON.B", "A.CON.B"),
            ("COM¹.A", "COM%C2%B9.A"),
            ("NA", "NA"),
            ("1E5", "1E5"),
        ],
    )
    def test_examples(self, ticker: str, stem: str) -> None:
        assert file_stem(ticker) == stem
        assert ticker_of(stem) == ticker

    @given(TICKER)
    def test_round_trip(self, ticker: str) -> None:
        assert ticker_of(file_stem(ticker)) == ticker

    @given(TICKER, TICKER)
    @example("BCpC", "BCPC")
    @example("A_p", "Ap")
    @example("CON.A", "CON%2EA")
    @example(".A", "%2EA")
    @example("K", "\u212a")
    def test_no_two_share_a_name_without_case(self, one: str, other: str) -> None:
        same = file_stem(one).casefold() == file_stem(other).casefold()
        assert same == (one == other)

    @given(TICKER)
    def test_without_case_the_ticker_can_still_be_told(self, ticker: str) -> None:
        # A left inverse of the folded name: with it no two tickers can share one, whatever the draw.
        codes = re.findall(r"_.|(?:%..)+|.", file_stem(ticker).casefold())
        told = {"_": lambda code: code[1], "%": lambda code: bytes.fromhex(code.replace("%", "")).decode()}
        assert "".join(told.get(code[0], str.upper)(code) for code in codes) == ticker

    @given(ANY_TEXT | CLOSE)
    def test_no_two_spellings_of_case_share_a_name(self, ticker: str) -> None:
        other = ticker.swapcase()
        assume(other != ticker)
        assert file_stem(ticker).casefold() != file_stem(other).casefold()

    @given(TICKER)
    def test_the_name_stays_a_plain_name_everywhere(self, ticker: str) -> None:
        stem = file_stem(ticker)
        name = f"{stem}_1d_data.csv"
        assert re.fullmatch(r"[A-Za-z0-9.%_-]+", stem)
        assert not name.startswith(".")
        assert Path(name).name == PureWindowsPath(name).name == name
        assert not _reserved_on_windows(name)

    @pytest.mark.parametrize("ticker", ["", "\ud800", "A\udcffB"])
    def test_refused(self, ticker: str) -> None:
        with pytest.raises(UsageError):
            file_stem(ticker)

    @pytest.mark.parametrize(
        "stem", ["", "a", "A_", "A_P", "_", "%", "%4", "%41", "%3a", "%FF", "%C3", "CON.A", ".A", "A B", "A/B", "AA\n"]
    )
    def test_names_that_are_no_tickers(self, stem: str) -> None:
        with pytest.raises(UsageError):
            ticker_of(stem)

    @given(st.text(alphabet="ABab_%.-0123CEF", max_size=12))
    def test_whatever_decodes_encodes_again(self, stem: str) -> None:
        try:
            ticker = ticker_of(stem)
        except UsageError:
            return
        assert file_stem(ticker) == stem


def _reserved_on_windows(name: str) -> bool:
    """What Windows does: cut at the first dot or colon, drop trailing blanks, look the rest up without case."""
    stem = re.split(r"[.:]", name)[0].rstrip(" ").upper()
    return re.fullmatch(r"CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]", stem) is not None


def market(seed: int) -> set[str]:
    """As many tickers as real files have, of the shapes that were met there: devices, and pairs by case alone."""
    chance = random.Random(seed)
    words = ["CON", "PRN", "AUX", "NUL", "COM1", "NAN", "NA", "TRUE", "AIG", "NULL", "INF", "E", "1E5"]
    letters = {"".join(chance.choices(string.ascii_uppercase, k=chance.choice([1, 3, 4, 4]))) for _ in range(9000)}
    ends = ["", ".A", ".B", ".U", ".WS", ".WSw", ".WS.A", ".RT", ".TEST", "pA", "pCpL", "pA.CL", "r", "w", "p"]
    tickers = {word + end for word in words for end in ends} | letters
    tickers |= {word + chance.choice(ends) for word in sorted(letters)}
    return tickers | {one.upper() for one in chance.sample([one for one in sorted(tickers) if not one.isupper()], 250)}


class TestShapesOfRealTickers:
    @pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, 9))])
    def test_their_files_are_distinct_without_case_legal_everywhere_and_tell_the_ticker(self, seed: int) -> None:
        tickers = market(seed)
        assert len(tickers) - len({one.upper() for one in tickers}) >= 125
        assert tickers >= {"CON", "NAN", "TRUE", "AIG.WSw", "CON.A"}
        # The stocks' stems are those of most datasets; one with a sigil, and one of folders.
        for dataset in (STOCKS_DAY, CATALOGUE["options-day"], CATALOGUE["stocks-minute"]):
            names = {}
            for ticker in tickers:
                full = dataset.sigil + ticker
                name = dataset.csv_name(full)
                assert name is not None
                names[name.casefold()] = name
                assert dataset.ticker_of(name.removesuffix(dataset.csv_suffix)) == full
            assert len(names) == len(tickers)
            assert [name for name in names.values() if _reserved_on_windows(name) or not LEGAL.fullmatch(name)] == []


LEGAL = re.compile(r"[A-Za-z0-9%_-][A-Za-z0-9.%_-]*[A-Za-z0-9]")
"""A name that Windows, macOS and Linux all take: no blank or dot at its end, no character that means something."""


class TestCsvName:
    def test_name(self) -> None:
        assert STOCKS_DAY.csv_name("BACpL") == "BAC_pL_1d_data.csv"

    def test_longest(self, tmp_path: Path) -> None:
        name = STOCKS_DAY.csv_name("A" * 243)
        assert name is not None
        assert len(name) == MAX_NAME_BYTES
        (tmp_path / name).touch()
        assert STOCKS_DAY.csv_name("A" * 244) is None

    def test_length_counts_the_encoding(self) -> None:
        assert STOCKS_DAY.csv_name("a" * 121) is not None
        assert STOCKS_DAY.csv_name("a" * 122) is None


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


class TestReadList:
    def test_comments_blanks_bom_and_line_ends(self, tmp_path: Path) -> None:
        text = "\ufeff# mine\r\nAAPL\r\n\n  BRK.A # Berkshire\nTpC#x\n\t\nTPC\rAAPL\nX:BTC-USD"
        assert read_list(write(tmp_path / "l", text)) == ("AAPL", "BRK.A", "TpC", "TPC", "X:BTC-USD")

    def test_case_counts(self, tmp_path: Path) -> None:
        assert read_list(write(tmp_path / "l", "NA\nna\nNAN\nTRUE\n1E5\n")) == ("NA", "na", "NAN", "TRUE", "1E5")

    def test_empty(self, tmp_path: Path) -> None:
        assert read_list(write(tmp_path / "l", b"")) == ()

    @pytest.mark.parametrize(
        ("line", "char"),
        [
            ("AAPL MSFT", "' '"),
            ("AAPL,MSFT", "','"),
            ("AAPL,", "','"),
            ("AAPL;MSFT", "';'"),
            ("AAPL\tMSFT", r"'\t'"),
            ("AA\u00a0PL", r"'\xa0'"),
            ('"AAPL"', "'\"'"),
            ("AA\0PL", r"'\x00'"),
            ("AA\u200fPL", r"'\u200f'"),
        ],
    )
    def test_a_line_with_more_than_a_ticker(self, tmp_path: Path, line: str, char: str) -> None:
        path = write(tmp_path / "l", f"# one\nIBM\n{line} # two\n")
        with pytest.raises(UsageError) as caught:
            read_list(path)
        text = str(caught.value)
        assert text.startswith(f"{path}, line 3: {line!a} has the character {char}; write one ticker a line")

    @pytest.mark.parametrize("data", [b"IBM\nCAF\xc9\n", "IBM\nA\n".encode("utf-16"), b"IBM\n\xff # comment\n"])
    def test_bad_encoding(self, tmp_path: Path, data: bytes) -> None:
        path = write(tmp_path / "l", data)
        with pytest.raises(UsageError, match=r"line \d: this is not UTF-8") as caught:
            read_list(path)
        assert str(path) in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="does not exist"):
            read_list(tmp_path / "l")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            read_list(tmp_path)

    @given(data=st.binary())
    def test_any_bytes_are_read_or_refused(self, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
        path = write(tmp_path_factory.getbasetemp() / "any", data)
        try:
            tickers = read_list(path)
        except UsageError as error:
            assert str(path) in str(error)  # noqa: PT017 - both outcomes are right
        else:
            assert all(ticker_of(file_stem(ticker)) == ticker for ticker in tickers)
            assert len(set(tickers)) == len(tickers)

    @given(tickers=st.lists(st.text(alphabet="ABCpx.:-019", min_size=1), max_size=20), crlf=st.booleans())
    def test_what_is_written_is_read(
        self, tickers: list[str], crlf: bool, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        text = ("\r\n" if crlf else "\n").join(tickers)
        path = write(tmp_path_factory.getbasetemp() / "written", text)
        assert read_list(path) == tuple(dict.fromkeys(tickers))


class TestTracked:
    def test_union_sorted(self, tmp_path: Path) -> None:
        one, two = write(tmp_path / "1", "MSFT\nAAPL"), write(tmp_path / "2", "TpC\nAAPL")
        assert tracked(NAME_OF, [one, two], ["IBM"]) == TrackedLists(("AAPL", "IBM", "MSFT", "TpC"))

    def test_nothing(self) -> None:
        assert tracked(NAME_OF) == TrackedLists()
        assert tracked(NAME_OF).empty

    def test_optional_lists_may_be_missing(self, tmp_path: Path) -> None:
        gone = tmp_path / "gone.txt"
        found = tracked(NAME_OF, [write(tmp_path / "1", "A"), gone])
        assert found == TrackedLists(("A",), missing=(gone,))
        assert not found.empty

    def test_required_lists_may_not(self, tmp_path: Path) -> None:
        assert tracked(NAME_OF, required=[write(tmp_path / "1", "A")]).tickers == ("A",)
        with pytest.raises(UsageError, match=re.escape("gone.txt does not exist")):
            tracked(NAME_OF, required=[tmp_path / "gone.txt"])

    def test_an_optional_list_must_still_be_right(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="line 1"):
            tracked(NAME_OF, [write(tmp_path / "1", "A,B")])

    @pytest.mark.skipif(os.name == "nt", reason="Windows says that it is not found")
    def test_a_path_through_a_file_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            tracked(NAME_OF, [write(tmp_path / "1", "A") / "2"])

    @pytest.mark.parametrize("ticker", ["", "A B", "A,B", "\ud800"])
    def test_extra_is_checked(self, ticker: str) -> None:
        with pytest.raises(UsageError, match=re.escape("[tracked] tickers")):
            tracked(NAME_OF, extra=[ticker])

    def test_too_long_for_a_file_name(self) -> None:
        long = "A" * 244
        assert tracked(NAME_OF, extra=["B", long]) == TrackedLists(("B",), unnameable=(long,))
