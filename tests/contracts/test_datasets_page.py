"""docs/datasets.md agrees with each dataset's entry in the catalogue."""

import re
from pathlib import Path

import pytest

from ingest.market.catalogue import CATALOGUE

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text()
LINES = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
TABLE = {cells[0].strip("`"): cells[1:] for cells in LINES if cells[0].startswith("`")}
COLUMNS = {market: (cells[1], cells[2]) for cells in LINES if len(cells) == 3 for market in cells[0].split(", ")}


def test_the_table_has_every_dataset_once_in_the_order_of_the_catalogue():
    assert list(TABLE) == list(CATALOGUE)
    assert len([cells for cells in LINES if cells[0].startswith("`")]) == len(CATALOGUE)


@pytest.mark.parametrize("dataset", CATALOGUE.values(), ids=lambda one: one.short)
def test_a_row_says_what_the_entry_says(dataset):
    prefix, row, calendar, zone, first, yahoo, adjusted = TABLE[dataset.short]
    assert (prefix, calendar, zone, first) == (
        f"`{dataset.prefix}`",
        dataset.calendar,
        dataset.zone,
        str(dataset.first_session),
    )
    assert row == {"1d": "a day", "1m": "a minute"}[dataset.interval]
    assert adjusted == ("yes" if dataset.splits else "no")
    names = re.findall(r"`([^`]+)`", yahoo)
    assert len(names) == 2 * dataset.is_filled_from_yahoo
    assert not names or dataset.yahoo_symbol(names[0]) == names[1]


@pytest.mark.parametrize("dataset", CATALOGUE.values(), ids=lambda one: one.short)
def test_the_columns_of_its_market_are_those_of_the_entry(dataset):
    columns = [set(cell.strip("`").split()) for cell in COLUMNS[dataset.short.partition("-")[0]]]
    assert columns == [set(dataset.required), set(dataset.optional)]
