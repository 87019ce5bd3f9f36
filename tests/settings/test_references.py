"""Lines of lists that stand for something else: `@top:500`, and other lists."""

import pytest

from ingest.errors import UsageError
from ingest.market.catalogue import STOCKS_DAY
from ingest.settings.lists import meaning, read_list, read_whole, top_of, tracked


def written(folder, **lists):
    """Lists in a folder, the first one of them returned."""
    paths = [folder / f"{name}.txt" for name in lists]
    for path, text in zip(paths, lists.values(), strict=True):
        path.write_text(text)
    return paths[0]


def of(*paths, **more):
    return tracked(STOCKS_DAY.csv_name, paths, **more)


def test_a_line_may_stand_for_the_most_traded_tickers(tmp_path):
    mine = written(tmp_path, mine="AAPL\n@top:500  # liquid\n@top:20\nX*\n")
    assert (of(mine).tickers, of(mine).top, of(mine).empty) == (("AAPL", "X*"), 500, False)
    assert read_list(mine) == ("AAPL", "@top:500", "@top:20", "X*")
    assert of(written(tmp_path, other="@top:7\n")).empty is False
    assert of(extra=["@top:30"]).top == 30
    assert of(mine, without=(mine, {"@top:500"})).top == 20


@pytest.mark.parametrize(
    "line", ["@", "@top", "@top:", "@top:0", "@top:-1", "@top:5x", "@top500", "@top:1000000", "@top:٣"]
)
def test_what_looks_like_it_is_named_with_its_place(tmp_path, line):
    mine = written(tmp_path, mine=f"AAPL\n{line}\n")
    with pytest.raises(UsageError, match=r"mine\.txt, line 2: .*: write @top:500, or @ and the name of another list"):
        of(mine)
    assert top_of(line) is None


def test_a_list_may_include_others_beside_it(tmp_path):
    (tmp_path / "lists").mkdir()
    written(tmp_path / "lists", ibd="MSFT # comment\n@more.txt\n", more="@top:9\nO:SPY\nMSFT\n")
    mine = written(tmp_path, mine="@lists/ibd.txt\nAAPL\n@lists/more.txt # again\n")
    absolute = written(tmp_path, absolute=f"@{tmp_path}/lists/ibd.txt\n")
    assert of(mine).tickers == ("AAPL", "MSFT", "O:SPY???????????????")
    assert of(mine).top == 9
    assert of(absolute).tickers == ("MSFT", "O:SPY???????????????")
    assert read_list(mine) == ("@lists/ibd.txt", "AAPL", "@lists/more.txt")
    assert read_whole(mine) == ("MSFT", "@top:9", "O:SPY", "AAPL")
    assert of(required=[mine]).tickers == of(mine).tickers
    assert meaning(mine, ["@lists/ibd.txt", "TSLA"]).tickers == ("MSFT", "O:SPY???????????????", "TSLA")


def test_a_list_that_is_missing_is_named_with_the_line_that_includes_it(tmp_path):
    mine = written(tmp_path, mine="\n@one.txt\n", one="A\nB\n@two.txt\n")
    with pytest.raises(UsageError, match=r"one\.txt, line 3: the list .*two\.txt does not exist"):
        of(mine)
    with pytest.raises(UsageError, match=r"one\.txt, line 3: the list .*two\.txt does not exist"):
        read_whole(mine)
    assert read_list(mine) == ("@one.txt",), "changing a list does not ask for it"


def test_a_fault_in_an_included_list_is_named_where_it_is(tmp_path):
    mine = written(tmp_path, mine="@one.txt\n", one="A\nB,C\n")
    with pytest.raises(UsageError, match=r"one\.txt, line 2: 'B,C' has the character ','"):
        of(mine)


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"mine": "@mine.txt\n"}, r"mine\.txt, line 1: .* \(mine\.txt includes mine\.txt\)"),
        (
            {"mine": "A\n@one.txt\n", "one": "@two.txt\n", "two": "B\n\n@mine.txt\n"},
            r"two\.txt, line 3: .* \(mine\.txt includes one\.txt includes two\.txt includes mine\.txt\)",
        ),
        (
            {"mine": "A\n@one.txt\n", "one": "@two.txt\n", "two": "@./one.txt\n"},
            r"two\.txt, line 1: .* \(mine\.txt includes one\.txt includes two\.txt includes one\.txt\)",
        ),
    ],
)
def test_a_circle_is_named_with_the_line_that_closes_it(tmp_path, lists, told):
    mine = written(tmp_path, **lists)
    with pytest.raises(UsageError, match=told):
        of(mine)


def test_a_circle_of_links_is_an_error_as_well(tmp_path):
    mine = written(tmp_path, mine="@loop.txt\n")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    with pytest.raises(UsageError, match=r"the list .*loop\.txt cannot be read"):
        of(mine)


def test_many_lists_that_include_the_next_one_twice_are_read_once_each(tmp_path):
    chain = {f"l{n}": f"@l{n + 1}.txt\n@l{n + 1}.txt\nT{n}\n" for n in range(19)}
    assert len(of(written(tmp_path, **chain, l19="LAST\n")).tickers) == 20
    longer = {f"m{n}": f"@m{n + 1}.txt\n" for n in range(3000)}
    with pytest.raises(UsageError, match="more than 20 lists include each other in a chain"):
        of(written(tmp_path, **longer, m3000="LAST\n"))


def test_the_settings_name_lists_elsewhere():
    with pytest.raises(
        UsageError, match=r"\[tracked\] tickers: '@ibd.txt' is neither .* lists belong into \[tracked\] lists"
    ):
        of(extra=["@ibd.txt"])
